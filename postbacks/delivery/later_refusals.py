"""Results of a later confirmation by which an event was not counted: it is refused for good, or sent again later."""

from datetime import datetime, timedelta

from django.db.models import Min

from postbacks import http
from postbacks.delivery.recording import answer_columns
from postbacks.models import AttemptStatus, Confirmation, Delivery, DeliveryState
from postbacks.networks.interface.call import Verdict

# Since the network first took the event. Afterward what would be sent again is refused.
MAX_RESENDING = timedelta(days=3)


def apply(row: Delivery, call: http.NetworkCall, queried_at: datetime, now: datetime) -> None:
    """Change the locked delivery, which the caller saves, and add an attempt with the network's message.

    It waits to be sent again after `resend_after` if the outcome has that and it is not too late, else it fails. Before
    it is sent, it is checked like every waiting delivery: one of an erased player, or without consent, is not.
    """
    again_at = _again_at(row, call, now)
    if again_at is None:
        _refuse(row, call, now)
    else:
        _wait(row, again_at, call.outcome.verdict)
    row.attempts_made += 1
    row.attempts.create(
        config_id=row.config_id,
        number=row.attempts_made,
        config_version=row.config_version,
        started_at=queried_at,
        finished_at=now,
        status=AttemptStatus.FAILED if again_at is None else AttemptStatus.RETRIED,
        **answer_columns(call.outcome, call.response),
    )


def _again_at(row: Delivery, call: http.NetworkCall, now: datetime) -> datetime | None:
    if call.outcome.resend_after is None or row.conversion_id is None:
        return None
    taken_at = row.attempts.filter(status=AttemptStatus.SUCCESS).aggregate(at=Min("finished_at"))["at"] or now
    again_at = now + call.outcome.resend_after
    return again_at if again_at <= min(taken_at + MAX_RESENDING, row.dead_after) else None


def _refuse(row: Delivery, call: http.NetworkCall, now: datetime) -> None:
    row.confirmation = Confirmation.UNMATCHED if call.outcome.unmatched else Confirmation.REFUSED
    row.state, row.verdict, row.finished_at = DeliveryState.FAILED, call.outcome.verdict.value, now
    row.confirm_after = None


def _wait(row: Delivery, again_at: datetime, verdict: Verdict) -> None:
    row.state, row.verdict, row.confirmation = DeliveryState.WAITING, verdict.value, Confirmation.AGAIN
    row.next_attempt_at = row.not_before = again_at
    row.confirm_after = row.finished_at = row.leased_until = None
    # The network did not count it, so that a repeat is no second one.
    row.attempts_counted, row.first_attempt_at, row.safe_until = 0, None, None
