"""Validates a rejection again: changed rules or a changed key may accept it."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import structlog
from django.db import transaction

from audience.database import clock
from audience.intake.dialects.revalidation import Revalidation, revalidate
from audience.intake.messages.message import NOT_KEPT, Violation, stored_id
from audience.intake.requests import restrictions
from audience.intake.storing.accept import accept
from audience.intake.storing.rows import TRUNCATED
from audience.models import ApiKey, Dialect, Event, Rejection

logger = structlog.get_logger(__name__)

# The fields that are stored in place of a message that is too large.
TRUNCATED_FIELDS = {TRUNCATED, "bytes"}


class ReplayStatus(Enum):
    ACCEPTED = auto()  # stored now; the rejection is deleted
    STORED_BEFORE = auto()  # its message id is stored already; the rejection is deleted
    REFUSED = auto()  # the rejection stays, with its present violations
    IMPOSSIBLE = auto()  # see `replay_obstacle`


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """`errors` are the violations of one REFUSED: [{"field", "code", "message"}, ...]."""

    answer: ReplayStatus
    errors: list[dict[str, Any]] = field(default_factory=list)


def replay_obstacle(rejection: Rejection) -> str:
    """Why it cannot be validated again, as a sentence; '' when it can."""
    if rejection.key_id is None:
        return "The key it came with has been deleted."
    if rejection.raw == NOT_KEPT:
        return "The request was refused as a whole and its content was not kept. The sender has to send it again."
    if (
        isinstance(rejection.raw, dict)
        and rejection.raw.get(TRUNCATED) is True
        and set(rejection.raw) == TRUNCATED_FIELDS
    ):
        return "It was too large to be kept whole, so there is nothing to validate. The sender has to send it again."
    if rejection.frame.get(TRUNCATED):
        return "What its batch said for all of its messages was too large to be kept. The sender has to send it again."
    return ""


@transaction.atomic
def replay(*, rejection: Rejection, replayed_by: str) -> ReplayResult:
    """Validate a stored rejection by the present rules and its original time of receipt, and store it if it is valid.

    Message id and time of receipt stay: a copy that the client has sent successfully since is found, and messages
    without a time stay on their day. Raises `Rejection.DoesNotExist` when it is gone.
    """
    row = Rejection.objects.select_for_update(of=("self",)).select_related("key").get(pk=rejection.pk)
    if replay_obstacle(row):
        return ReplayResult(ReplayStatus.IMPOSSIBLE)
    outcome = revalidate(row)
    errors = outcome.errors or _violations(outcome, row)
    if errors or outcome.key is None:
        row.errors = [violation.as_dict() for violation in errors]
        row.save(update_fields=["errors"])
        return ReplayResult(ReplayStatus.REFUSED, row.errors)
    is_server = outcome.key.is_server
    ids = [stored_id(message.message_id, is_server=is_server) for message in outcome.messages]
    stored = set(Event.objects.filter(game_id=row.game_id, message_id__in=ids).values_list("message_id", flat=True))
    fresh = [message for message, known in zip(outcome.messages, ids, strict=True) if known not in stored]
    for message in fresh:
        message.request_ip, message.origin = row.request_ip, row.origin
    if fresh:
        key = _without_use(outcome.key)
        accept(key=key, dialect=Dialect(row.dialect), messages=fresh, received_at=row.received_at)
    row.delete()
    logger.info("rejection_replayed", game_id=row.game_id, messages=len(fresh), replayed_by=replayed_by)
    return ReplayResult(ReplayStatus.ACCEPTED if fresh else ReplayStatus.STORED_BEFORE)


def _violations(outcome: Revalidation, row: Rejection) -> list[Violation]:
    """Why its key, by its present restrictions, may not send this from its origin and address."""
    if (key := outcome.key) is None:
        return []
    caller = restrictions.caller_violation(key, origin=row.origin, address=row.request_ip)
    found = (caller or restrictions.event_violation(key, message) for message in outcome.messages)
    return list(dict.fromkeys(filter(None, found)))


def _without_use(key: ApiKey) -> ApiKey:
    """A replay is not recorded as use of the key: a rotation waits until the old key is no longer used."""
    key.last_used_at = clock.now()  # in memory only; accept() then records nothing
    return key
