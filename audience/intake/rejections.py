"""Validates a rejected message again: by changed rules, or with a changed key, it may be valid."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import structlog
from auditlog.models import LogEntry
from django.db import transaction

from audience.accounts import audit_log
from audience.database import clock
from audience.intake.dialects.revalidation import Revalidation, revalidate
from audience.intake.messages.message import (
    MESSAGE_ID_REUSED,
    SUPPRESSED_RAW,
    Message,
    Violation,
    is_not_kept,
    stored_id,
)
from audience.intake.messages.times import FIRST_DAY, LAST_DAY
from audience.intake.requests import restrictions, suppressed_ids
from audience.intake.storing import reused_ids
from audience.intake.storing.accept import accept
from audience.intake.storing.rows import TRUNCATED
from audience.models import ApiKey, Dialect, Rejection

logger = structlog.get_logger(__name__)

# The fields that are stored in place of a message that is too large.
TRUNCATED_FIELDS = {TRUNCATED, "bytes"}


class RevalidationStatus(StrEnum):
    ACCEPTED = "accepted"  # stored now; the rejection is deleted
    STORED_BEFORE = "stored_before"  # a duplicate of it is stored already; the rejection is deleted
    REFUSED = "refused"  # it is still invalid; the rejection is kept, with its current violations
    IMPOSSIBLE = "impossible"  # see `revalidation_obstacle`


REVALIDATION_TEXTS = {
    RevalidationStatus.ACCEPTED: "Accepted. The original time of receipt counts, and the message is being processed.",
    RevalidationStatus.STORED_BEFORE: "A message with this ID is already stored, so nothing was added.",
    RevalidationStatus.REFUSED: "Still rejected. The reasons below follow the current rules.",
    RevalidationStatus.IMPOSSIBLE: "The message cannot be validated again.",
}


@dataclass(frozen=True, slots=True)
class RevalidationResult:
    """`errors` are the violations of a REFUSED message: [{"field", "code", "message"}, ...]."""

    status: RevalidationStatus
    errors: list[dict[str, Any]] = field(default_factory=list)


def revalidation_obstacle(rejection: Rejection) -> str:
    """Why it cannot be validated again, as a sentence; '' when it can."""
    if rejection.key_id is None:
        return "The key that it was sent with was deleted."
    if rejection.raw == SUPPRESSED_RAW:
        return "The player was erased, and events of this player are refused. The content is not stored."
    if is_not_kept(rejection.raw):
        return "The whole request was rejected and its content is not stored. The client has to send it again."
    if (
        isinstance(rejection.raw, dict)
        and rejection.raw.get(TRUNCATED) is True
        and set(rejection.raw) == TRUNCATED_FIELDS
    ):
        return (
            "The message was too large to be stored completely, so there is nothing to validate. The client has "
            "to send it again."
        )
    if rejection.frame.get(TRUNCATED):
        return (
            "The fields of its batch that apply to all messages were too large to be stored. The client has to "
            "send it again."
        )
    return ""


@transaction.atomic
def revalidate_rejection(*, rejection: Rejection, requested_by: str) -> RevalidationResult:
    """Validate a stored rejection by the current rules and its original time of receipt, and store it if it is valid.

    The message id and the time of receipt are unchanged, so that a duplicate that was accepted since is detected, even
    with a corrected time, and a message without a time keeps its day. The audit log has an entry. Raises
    `Rejection.DoesNotExist`.
    """
    row = Rejection.objects.select_for_update(of=("self",)).select_related("key").get(pk=rejection.pk)
    if row.key is None or revalidation_obstacle(row):
        return RevalidationResult(RevalidationStatus.IMPOSSIBLE)
    result = _revalidate(row, requested_by)
    # About the key: the text of a rejection has the id of the message.
    changes = {"rejected_message": (str(rejection.pk), result.status.value)}
    audit_log.record(game=row.key.game, subject=row.key, action=LogEntry.Action.UPDATE, changes=changes)
    return result


def _revalidate(row: Rejection, requested_by: str) -> RevalidationResult:
    outcome = revalidate(row)
    errors = outcome.errors or _restriction_violations(outcome, row)
    if errors or outcome.key is None:
        return _refused(row, errors)
    messages, reused = _messages_to_store(outcome, outcome.key, row)
    if reused:
        return _refused(row, reused)
    stored = 0
    if messages:
        key = _without_recording_use(outcome.key)
        stored = accept(key=key, dialect=Dialect(row.dialect), messages=messages, received_at=row.received_at).new
    row.delete()
    logger.info("rejection_revalidated", game_id=row.game_id, messages=stored, requested_by=requested_by)
    return RevalidationResult(RevalidationStatus.ACCEPTED if stored else RevalidationStatus.STORED_BEFORE)


def _refused(row: Rejection, violations: list[Violation]) -> RevalidationResult:
    row.errors = [violation.as_dict() for violation in violations]
    row.save(update_fields=["errors"])
    return RevalidationResult(RevalidationStatus.REFUSED, row.errors)


def _messages_to_store(outcome: Revalidation, key: ApiKey, row: Rejection) -> tuple[list[Message], list[Violation]]:
    """The messages that are not stored yet, and the violations of those whose id another event has."""
    ids = [stored_id(message.message_id, is_server=key.is_server) for message in outcome.messages]
    stored = reused_ids.find(row.game_id, ids, FIRST_DAY, LAST_DAY)
    was_reused = any(error["code"] == MESSAGE_ID_REUSED for error in row.errors)
    messages, violations = list[Message](), list[Violation]()
    for index, (message, message_id) in enumerate(zip(outcome.messages, ids, strict=True)):
        events = stored.get(message_id, ())
        if any(event.equals(message, at_any_time=not was_reused) for event in events):
            continue
        message.request_ip, message.origin = row.request_ip, row.origin
        message.is_joined = message.is_joined and outcome.messages[index - 1] in messages
        messages.append(message)
        if events and outcome.reject_reused:
            violations += outcome.reject_reused(message).errors
    return messages, violations


def _restriction_violations(outcome: Revalidation, row: Rejection) -> list[Violation]:
    """Why the messages may not be sent: their player is suppressed, or the key, by its current restrictions, may not
    send them from the stored origin and address."""
    if (key := outcome.key) is None:
        return []
    suppressed_ids.attach([key])
    suppressed = key.game.suppressed_ids
    if suppressed and any(suppressed.erasure_of(message) for message in outcome.messages):
        return [restrictions.SUPPRESSED]
    caller = restrictions.caller_violation(key, origin=row.origin, address=row.request_ip)
    violations = (caller or restrictions.event_violation(key, message) for message in outcome.messages)
    return list(dict.fromkeys(filter(None, violations)))


def _without_recording_use(key: ApiKey) -> ApiKey:
    """A revalidation is not recorded as use of the key: a rotation waits until the old key is no longer used."""
    key.last_used_at = clock.now()  # in memory only; accept() then records nothing
    return key
