"""Sets the state of a delivery after an answer: delivered, waiting for a retry, or failed."""

from datetime import datetime, timedelta

from audience.models import Reason
from postbacks.delivery import retry_schedule
from postbacks.delivery.leases import Claim
from postbacks.models import AttemptStatus, Confirmation, Delivery, DeliveryState, ReplayState
from postbacks.networks.interface.call import Outcome, Verdict


def apply_outcome(delivery: Delivery, claim: Claim, outcome: Outcome, now: datetime) -> AttemptStatus:
    """Change the locked delivery without saving it; return the status of the attempt.

    Expects `config` and `replay` loaded. The outcome may come from a worker whose lease had expired, after another one
    sent the delivery again: then a success counts, and any other outcome changes only `may_have_arrived`.
    """
    verdict = outcome.verdict
    if verdict == Verdict.SUCCESS:
        _accept(delivery, outcome, now)
        return AttemptStatus.SUCCESS
    if outcome.unknown and delivery.state != DeliveryState.DELIVERED:
        delivery.may_have_arrived = True
    is_unchanged = delivery.state == DeliveryState.WAITING and delivery.attempts_made == claim.number
    if not is_unchanged:
        is_retried = verdict == Verdict.TRANSIENT and delivery.state == DeliveryState.WAITING
        return AttemptStatus.RETRIED if is_retried else AttemptStatus.FAILED
    if verdict == Verdict.PAYLOAD:
        # The network refuses the event of this id, so an earlier call without an answer was not accepted either.
        delivery.may_have_arrived = False
        _finish(delivery, DeliveryState.FAILED, "", verdict, now)
        return AttemptStatus.FAILED
    will_retry = _try_later(delivery, claim, outcome, now)
    return AttemptStatus.RETRIED if will_retry and verdict == Verdict.TRANSIENT else AttemptStatus.FAILED


def _accept(delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    if delivery.state == DeliveryState.CANCELLED:
        delivery.may_have_arrived = True  # accepted after an erasure canceled it: it stays canceled
        return
    delivery.may_have_arrived = False
    delivery.confirmation, delivery.confirm_after = "", None  # that of an earlier call may have been refused
    if outcome.confirm_after is not None and outcome.request_id:
        delivery.confirmation, delivery.confirm_after = Confirmation.AWAITED, now + outcome.confirm_after
    _finish(delivery, DeliveryState.DELIVERED, "", Verdict.SUCCESS, now)


def _try_later(delivery: Delivery, claim: Claim, outcome: Outcome, now: datetime) -> bool:
    """Schedule the next attempt, or fail the delivery if it would be too late; return whether there is one.

    A refused credential does not count as an attempt: the delivery waits for the check, which holds or releases it.
    """
    verdict, refused = outcome.verdict, outcome.verdict == Verdict.CREDENTIAL
    next_at = retry_schedule.next_attempt(
        attempt=delivery.attempts_counted,
        first_attempt_at=delivery.first_attempt_at or now,
        now=now,
        retry_after=outcome.retry_after,
    )
    if delivery.replay is not None and delivery.replay.state == ReplayState.CANCELLED:
        _finish(delivery, DeliveryState.FAILED, "", verdict, now)
        return False
    if refused and delivery.config.version != claim.config_version:
        delivery.next_attempt_at = now  # with the settings that were changed meanwhile
    elif not delivery.config.enabled:
        delivery.next_attempt_at = now  # to be canceled now, not at a retry hours ahead
    elif refused:
        delivery.next_attempt_at = min(next_at or delivery.deadline, delivery.deadline)
    elif outcome.final or next_at is None or next_at > delivery.deadline:
        is_too_old = not outcome.final and next_at is not None and delivery.deadline == delivery.dead_after
        _finish(delivery, DeliveryState.FAILED, Reason.TOO_OLD if is_too_old else "", verdict, now)
        return False
    else:
        delivery.next_attempt_at = next_at
    delivery.leased_until, delivery.verdict = None, verdict.value
    delivery.asked_until = None if outcome.retry_after is None else now + timedelta(seconds=outcome.retry_after)
    return True


def _finish(delivery: Delivery, state: DeliveryState, reason: str, verdict: Verdict, now: datetime) -> None:
    delivery.state, delivery.reason, delivery.verdict, delivery.finished_at = state, reason, verdict.value, now
    delivery.next_attempt_at = delivery.leased_until = None
