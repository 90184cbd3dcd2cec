"""The health of postbacks, derived from the rows of the last 24 hours and not stored.

Turns counts into a state and sentences: since when, how much, why (quoting the network), and what to do.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from audience.database import clock
from audience.models import Reason
from audience.models.attribution import ATTRIBUTION_REASONS
from postbacks.models import PostbackConfig
from postbacks.monitoring.health import advice
from postbacks.monitoring.health.counting import count
from postbacks.monitoring.health.types import Health, HealthCounts, Judgement
from postbacks.networks.interface.call import Verdict
from postbacks.reporting.labels import conversions

# Share of final failures among ended deliveries.
FAILED_SHARE = 0.05
# Share of attempts to be retried, and the minimum number of attempts for it to count.
RETRIED_SHARE = 0.20
MIN_ATTEMPTS = 10
# The oldest waiting delivery is overdue by this much.
OVERDUE_AFTER = timedelta(minutes=10)
# A share over 24 hours still shows past trouble. It counts only if the last failure is more recent than this, or
# nothing was accepted since.
ONGOING_FOR = timedelta(minutes=15)
# After a 429: long enough to span the calls between two such answers.
LIMITED_FOR = timedelta(minutes=1)


def judge_configs(configs: Iterable[PostbackConfig], *, now: datetime | None = None) -> dict[uuid.UUID, Judgement]:
    """Return {config id: Judgement}, in two queries for the whole list."""
    counted = count([config.pk for config in configs], now=now or clock.now())
    return {pk: judge(counts) for pk, counts in counted.items()}


def judge(counts: HealthCounts) -> Judgement:
    """Return the worst state that applies, by the precedence of Health. Pure."""
    degraded = (_failing_for_good, _breaker_open, _retrying, _overdue)
    for check in (_on_hold, _credential_problem, _switched_off, _rate_limited, *degraded, _silent, _quiet):
        if found := check(counts):
            return found
    ended = counts.delivered + counts.failed
    share = f"{counts.delivered:,} of {ended:,} sends accepted." if ended else ""
    return _judgement(counts, Health.HEALTHY, None, share, "", "")


def _judgement(
    counts: HealthCounts, health: Health, since: datetime | None, share: str, cause: str, next_step: str
) -> Judgement:
    came = counts.eligible + sum(counts.skipped.values())
    return Judgement(health, since, share, cause, next_step, came=came, attempted=counts.attempts > 0)


def _on_hold(counts: HealthCounts) -> Judgement | None:
    if counts.held_at is None:
        return None
    share = f"Nothing is sent; {conversions(counts.held, 'is', 'are')} held."
    # A whole sentence that quotes the network.
    held_message = advice.without_personal_data(counts.held_message, keep=counts.pixel_id)
    cause = held_message or advice.quote(counts, counts.refused_message)
    return _judgement(
        counts, Health.ON_HOLD, counts.held_at, share, cause, advice.on_credential(counts, counts.held_for)
    )


def _credential_problem(counts: HealthCounts) -> Judgement | None:
    """Suspected, or refused by the newest answer about the credential. The next accepted postback clears it, a rotation
    does not.
    """
    if counts.suspected_at is None and counts.last_verdict != Verdict.CREDENTIAL:
        return None
    since = counts.refused_since or counts.suspected_at
    cause = advice.quote(counts, counts.refused_message)
    if counts.suspected_at is not None:
        share = f"{counts.kind.label} refused the credential once and is being asked again; nothing is sent meanwhile."
        return _judgement(counts, Health.CREDENTIAL_PROBLEM, since, share, cause, advice.SUSPECTED)
    share = "No postback was accepted since."
    return _judgement(
        counts, Health.CREDENTIAL_PROBLEM, since, share, cause, advice.on_credential(counts, counts.held_for)
    )


def _switched_off(counts: HealthCounts) -> Judgement | None:
    if counts.enabled:
        return None
    return _judgement(counts, Health.QUIET, None, "", "It is disabled: nothing is sent.", "Enable it to send again.")


def _rate_limited(counts: HealthCounts) -> Judgement | None:
    limited_at = counts.limited_at
    resting = counts.resting_until is not None and counts.resting_until > counts.now + timedelta(seconds=1)
    if limited_at is None or not (resting or counts.now - limited_at < LIMITED_FOR):
        return None
    accepts = counts.last_success_at is not None and counts.last_success_at > limited_at
    since = min(filter(None, (limited_at, counts.failing_since, None if not accepts else counts.overdue_since)))
    share = f"{conversions(counts.waiting, 'waits', 'wait')} for {counts.kind.label} to take more."
    cause = advice.quote(counts, counts.retried_message)
    next_step = f"Nothing to do: sending goes on at the pace {counts.kind.label} allows, and nothing is lost."
    return _judgement(counts, Health.RATE_LIMITED, since, share, cause, next_step)


def _failing_for_good(counts: HealthCounts) -> Judgement | None:
    ended = counts.delivered + counts.failed
    if not counts.failed or counts.failed / ended < FAILED_SHARE or not _is_ongoing(counts, counts.last_failed_at):
        return None
    share = f"{counts.failed / ended:.0%} of {ended:,} sends failed.".replace("%", " %", 1)
    cause = advice.quote(counts, counts.failed_message) or "They were too old for the network to accept."
    return _judgement(counts, Health.DEGRADED, counts.first_failed_at, share, cause, advice.on_failures(counts))


def _breaker_open(counts: HealthCounts) -> Judgement | None:
    if not counts.tripped:
        return None
    share = f"{counts.kind.label} fails again and again and is left alone for minutes at a time; "
    share += f"{conversions(counts.waiting, 'waits', 'wait')}."
    cause = advice.quote(counts, counts.retried_message)
    return _judgement(counts, Health.DEGRADED, counts.failing_since, share, cause, advice.on_outage(counts))


def _retrying(counts: HealthCounts) -> Judgement | None:
    if counts.attempts < MIN_ATTEMPTS or counts.retried / counts.attempts < RETRIED_SHARE:
        return None
    if not _is_ongoing(counts, counts.last_retried_at):
        return None
    share = f"{counts.retried / counts.attempts:.0%} of {counts.attempts:,} sends had to be repeated."
    cause = advice.quote(counts, counts.retried_message)
    since = counts.failing_since or counts.last_retried_at
    return _judgement(counts, Health.DEGRADED, since, share.replace("%", " %", 1), cause, advice.on_outage(counts))


def _overdue(counts: HealthCounts) -> Judgement | None:
    """The oldest delivery is overdue: no worker runs, or the rate limit is too low."""
    failing = counts.failing_since if counts.waiting else None
    since = min(filter(None, (counts.overdue_since, failing)), default=None)
    if since is None or counts.now - since < OVERDUE_AFTER:
        return None
    minutes = (counts.now - since) // timedelta(minutes=1)
    share = f"{conversions(counts.waiting, 'waits', 'wait')}, the oldest for {minutes:,} minutes."
    cause = advice.quote(counts, counts.retried_message) if failing else ""
    return _judgement(
        counts, Health.DEGRADED, since, share, cause, advice.on_outage(counts) if failing else advice.BEHIND
    )


def _is_ongoing(counts: HealthCounts, last: datetime | None) -> bool:
    if last is None or counts.now - last < ONGOING_FOR:
        return True
    return counts.last_success_at is None or counts.last_success_at < last


def _silent(counts: HealthCounts) -> Judgement | None:
    """Conversions arrived and none could be sent. If all clicks were of other networks, the campaign has no clicks."""
    reasons = {reason: n for reason, n in counts.skipped.items() if reason != Reason.OTHER_NETWORK}
    unclicked = sum(reasons.get(reason, 0) for reason in ATTRIBUTION_REASONS)
    own = sum(reasons.values()) - unclicked
    elsewhere = counts.skipped.get(Reason.OTHER_NETWORK, 0)
    if counts.eligible or not reasons or (elsewhere and not own):
        return None
    came = sum(counts.skipped.values())
    share = f"{conversions(came, 'came', 'came')}, none could be sent: {advice.top_reasons(counts.skipped)}."
    top = max(reasons, key=lambda reason: reasons[reason])
    return _judgement(counts, Health.SILENT, counts.first_conversion_at, share, "", advice.next_step(counts, top))


def _quiet(counts: HealthCounts) -> Judgement | None:
    if counts.eligible or counts.attempts:
        return None
    elsewhere = counts.skipped.get(Reason.OTHER_NETWORK, 0)
    cause = f"No conversion was attributed to {counts.kind.label} in 24 h."
    if elsewhere:
        cause += f" {conversions(elsewhere, 'came', 'came')} from other networks' clicks."
    return _judgement(counts, Health.QUIET, None, "", cause, advice.next_step(counts, Reason.NO_CLICK))
