"""Evaluates the health of postbacks from the rows of the last 24 hours; it is not stored.

A status is a state and its start, with the figures, the cause (which quotes the network) and the next step.
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
from postbacks.monitoring.health.types import Health, HealthCounts, HealthStatus
from postbacks.networks.interface.call import Verdict
from postbacks.reporting.labels import clock_time, conversions

# Degraded from this share of failures in ended deliveries on.
FAILED_SHARE = 0.05
# Degraded from this share of retried attempts on, if there are at least MIN_ATTEMPTS.
RETRIED_SHARE = 0.20
MIN_ATTEMPTS = 10
# Degraded if the oldest waiting delivery is overdue for this long.
OVERDUE_AFTER = timedelta(minutes=10)
# A share includes past failures: it counts only if the last one is newer than this, or nothing was accepted since.
ONGOING_FOR = timedelta(minutes=15)
# Rate limited for this long after a 429, which is longer than the time between two such answers.
LIMITED_FOR = timedelta(minutes=1)


def evaluate_configs(
    configs: Iterable[PostbackConfig], *, now: datetime | None = None
) -> dict[uuid.UUID, HealthStatus]:
    """Return {config id: HealthStatus}, in two queries."""
    counted = count([config.pk for config in configs], now=now or clock.now())
    return {pk: evaluate(counts) for pk, counts in counted.items()}


def evaluate(counts: HealthCounts) -> HealthStatus:
    """Return the status of the first check that applies."""
    degraded = (_failing, _breaker_open, _repeating, _overdue, _retrying)
    for check in (_on_hold, _credential_problem, _disabled, _rate_limited, *degraded, _silent, _quiet):
        if status := check(counts):
            return status
    return _status(counts, Health.HEALTHY, None, _healthy_figures(counts), "", "")


def _healthy_figures(counts: HealthCounts) -> str:
    ended = counts.delivered + counts.failed + counts.unmatched
    figures = [f"{counts.delivered:,} of {ended:,} sends accepted."] if ended else []
    if counts.confirmed or counts.unconfirmed:
        figures.append(f"{counts.confirmed:,} confirmed, {counts.unconfirmed:,} not confirmed yet.")
    if counts.unmatched:
        figures.append(f"{counts.unmatched:,} unmatched: {counts.kind.label} does not know the click.")
    if counts.early:
        early = conversions(counts.early, "is", "are")
        figures.append(f"{early} too recent for {counts.kind.label} and will be sent later.")
    return " ".join(figures)


def _status(
    counts: HealthCounts, health: Health, since: datetime | None, figures: str, cause: str, next_step: str
) -> HealthStatus:
    considered = counts.eligible + sum(counts.skipped.values())
    was_attempted, by_user = counts.attempts > 0, counts.held_by_user
    return HealthStatus(health, since, figures, cause, next_step, considered, was_attempted, by_user)


def _on_hold(counts: HealthCounts) -> HealthStatus | None:
    if counts.held_at is None:
        return None
    figures = f"Nothing is sent; {conversions(counts.held, 'is', 'are')} on hold."
    # A sentence that quotes the network already.
    held_message = advice.without_personal_data(counts.held_message, keep=counts.pixel_id)
    cause = held_message or advice.quote(counts, counts.refused_message)
    next_step = advice.RELEASE if counts.held_by_user else advice.credential_step(counts, counts.held_for)
    return _status(counts, Health.ON_HOLD, counts.held_at, figures, cause, next_step)


def _credential_problem(counts: HealthCounts) -> HealthStatus | None:
    """Applies if the credential is suspected or was refused last. An accepted postback ends it, a rotation does not."""
    if counts.suspected_at is None and counts.last_verdict != Verdict.CREDENTIAL:
        return None
    since = counts.refused_since or counts.suspected_at
    cause = advice.quote(counts, counts.refused_message)
    if counts.suspected_at is not None:
        figures = f"{counts.kind.label} refused the credential once, and it is being checked again; "
        figures += "nothing is sent until then."
        return _status(counts, Health.CREDENTIAL_PROBLEM, since, figures, cause, advice.SUSPECTED)
    figures = "No conversion was accepted since then."
    return _status(
        counts, Health.CREDENTIAL_PROBLEM, since, figures, cause, advice.credential_step(counts, counts.held_for)
    )


def _disabled(counts: HealthCounts) -> HealthStatus | None:
    if counts.enabled:
        return None
    return _status(counts, Health.QUIET, None, "", "The postback is disabled.", "Enable it to send conversions again.")


def _rate_limited(counts: HealthCounts) -> HealthStatus | None:
    limited_at = counts.limited_at
    paused_until = counts.paused_until if counts.paused_until == counts.next_slot_at else None
    if limited_at is None or not (paused_until or counts.now - limited_at < LIMITED_FOR):
        return None
    has_accepted = counts.last_success_at is not None and counts.last_success_at > limited_at
    since = min(filter(None, (limited_at, counts.failing_since, counts.overdue_since if has_accepted else None)))
    end = f", until {clock_time(paused_until, counts.now)}" if paused_until else ""
    figures = f"{conversions(counts.waiting, 'waits', 'wait')} because of the rate limit of {counts.kind.label}{end}."
    cause = advice.quote(counts, counts.retried_message)
    return _status(counts, Health.RATE_LIMITED, since, figures, cause, advice.limit_step(counts, paused_until))


def _failing(counts: HealthCounts) -> HealthStatus | None:
    ended = counts.delivered + counts.failed
    if not counts.failed or counts.failed / ended < FAILED_SHARE or not _is_ongoing(counts, counts.last_failed_at):
        return None
    figures = f"{counts.failed / ended:.0%} of {ended:,} sends failed."
    if paused_until := counts.paused_until:
        figures += f" Nothing is sent until {clock_time(paused_until, counts.now)}."
    cause = advice.quote(counts, counts.failed_message) or "They were too old for the network."
    return _status(counts, Health.DEGRADED, counts.first_failed_at, figures, cause, advice.failure_step(counts))


def _breaker_open(counts: HealthCounts) -> HealthStatus | None:
    if not counts.breaker_open:
        return None
    paused_until = counts.paused_until
    pause = f"until {clock_time(paused_until, counts.now)}" if paused_until else "for minutes at a time"
    figures = f"{counts.kind.label} failed repeatedly and is not called {pause}; "
    figures += f"{conversions(counts.waiting, 'waits', 'wait')}."
    cause = advice.quote(counts, counts.retried_message)
    return _status(counts, Health.DEGRADED, counts.failing_since, figures, cause, advice.outage_step(counts))


def _repeating(counts: HealthCounts) -> HealthStatus | None:
    if counts.attempts < MIN_ATTEMPTS or counts.retried / counts.attempts < RETRIED_SHARE:
        return None
    if not _is_ongoing(counts, counts.last_retried_at):
        return None
    figures = f"{counts.retried / counts.attempts:.0%} of {counts.attempts:,} sends had to be retried."
    cause = advice.quote(counts, counts.retried_message)
    since = counts.failing_since or counts.last_retried_at
    return _status(counts, Health.DEGRADED, since, figures, cause, advice.outage_step(counts))


def _overdue(counts: HealthCounts) -> HealthStatus | None:
    """Applies if the oldest delivery is overdue: no worker runs, the network fails, or the rate limit is too low."""
    failing_since = counts.failing_since if counts.waiting else None
    since = min(filter(None, (counts.overdue_since, failing_since)), default=None)
    if since is None or counts.now - since < OVERDUE_AFTER:
        return None
    minutes = (counts.now - since) // timedelta(minutes=1)
    figures = f"{conversions(counts.waiting, 'waits', 'wait')}, the oldest for {minutes:,} minutes."
    cause = advice.quote(counts, counts.retried_message) if failing_since else ""
    return _status(
        counts, Health.DEGRADED, since, figures, cause, advice.outage_step(counts) if failing_since else advice.BEHIND
    )


def _retrying(counts: HealthCounts) -> HealthStatus | None:
    """Applies if conversions wait and the network failed since its last answer, however few calls were made."""
    if not counts.waiting or counts.failing_since is None:
        return None
    figures = f"{conversions(counts.waiting, 'waits', 'wait')}: {counts.kind.label} failed or did not answer."
    cause = advice.quote(counts, counts.retried_message)
    return _status(counts, Health.RETRYING, counts.failing_since, figures, cause, advice.outage_step(counts))


def _is_ongoing(counts: HealthCounts, last_failed_at: datetime | None) -> bool:
    if last_failed_at is None or counts.now - last_failed_at < ONGOING_FOR:
        return True
    return counts.last_success_at is None or counts.last_success_at < last_failed_at


def _silent(counts: HealthCounts) -> HealthStatus | None:
    """Applies if there were conversions and none could be sent, unless all their clicks were of other networks.

    Conversions without a click are normal for a new postback.
    """
    reasons = {reason: n for reason, n in counts.skipped.items() if reason != Reason.OTHER_NETWORK}
    unattributed = sum(reasons.get(reason, 0) for reason in ATTRIBUTION_REASONS)
    attributed = sum(reasons.values()) - unattributed
    other_networks = counts.skipped.get(Reason.OTHER_NETWORK, 0)
    if counts.eligible or not reasons or ((other_networks or counts.is_new) and not attributed):
        return None
    total = sum(counts.skipped.values())
    received = conversions(total, "was received", "were received")
    figures = f"{received}, none could be sent: {advice.top_reasons(counts.skipped)}."
    top = max(reasons, key=lambda reason: reasons[reason])
    return _status(counts, Health.SILENT, counts.first_conversion_at, figures, "", advice.unsent_step(counts, top))


def _quiet(counts: HealthCounts) -> HealthStatus | None:
    if counts.eligible or counts.attempts:
        return None
    if counts.is_new:
        return _status(counts, Health.QUIET, None, "", _new_cause(counts), "")
    if counts.attributed:
        were = conversions(counts.attributed, "was", "were")
        cause = f"{were} attributed to {counts.kind.label} in 24 h, but none was for this postback."
        return _status(counts, Health.QUIET, None, "", cause, advice.unsent_step(counts, Reason.CONFIG_DISABLED))
    other_networks = counts.skipped.get(Reason.OTHER_NETWORK, 0)
    cause = f"No conversion was attributed to {counts.kind.label} in 24 h."
    if other_networks:
        cause += f" {conversions(other_networks, 'was', 'were')} attributed to other networks."
    return _status(counts, Health.QUIET, None, "", cause, advice.unsent_step(counts, Reason.NO_CLICK))


def _new_cause(counts: HealthCounts) -> str:
    """Return why a new postback has not been active, with the conversions that came before it was added."""
    cause = "No recent activity: normal for a new postback."
    if not counts.attributed_before:
        return cause
    before = conversions(counts.attributed_before, "was", "were")
    return f"{cause} {before} attributed to {counts.kind.label} in 24 h, before it was added."
