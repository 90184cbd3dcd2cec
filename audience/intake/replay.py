"""Validate again: a rejection that our rules, once changed, may take after all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import structlog
from django.db import transaction

from audience.database import clock
from audience.intake.dialects import kept
from audience.intake.messages.message import NOT_KEPT, Violation
from audience.intake.messages.message_ids import stored_id
from audience.intake.requests import restrictions
from audience.intake.storing.accept import accept
from audience.intake.storing.rows import TRUNCATED
from audience.models import ApiKey, Dialect, Event, Rejection

logger = structlog.get_logger(__name__)

JUDGES: dict[Dialect, Callable[[Rejection], kept.Judgement]] = {
    Dialect.IMMUTABLE: kept.by_immutable,
    Dialect.RUDDERSTACK: kept.by_rudderstack,
    Dialect.METAROUTER: kept.by_metarouter,
    Dialect.PARCELVOY: kept.by_parcelvoy,
}


class Answer(Enum):
    ACCEPTED = auto()  # stored now; the rejection is gone
    STORED_BEFORE = auto()  # its message id is known; the rejection is gone
    REFUSED = auto()  # the rejection stays, with the reasons of today
    IMPOSSIBLE = auto()  # nothing to judge by, see `replay_obstacle`


@dataclass(frozen=True, slots=True)
class Replay:
    """`errors` are the reasons of today of one REFUSED: [{"field", "code", "message"}, ...]."""

    answer: Answer
    errors: list[dict[str, Any]] = field(default_factory=list)


def replay_obstacle(rejection: Rejection) -> str:
    """Why it cannot be judged again, as a sentence; '' when it can."""
    if rejection.key_id is None:
        return "The key it came with has been deleted."
    if rejection.raw == NOT_KEPT:
        return "The request was refused as a whole and its content was not kept. The sender has to send it again."
    if isinstance(rejection.raw, dict) and rejection.raw.get(TRUNCATED) is True and set(rejection.raw) == CUT:
        return "It was too large to be kept whole, so there is nothing to validate. The sender has to send it again."
    if rejection.frame.get(TRUNCATED):
        return "What its batch said for all of its messages was too large to be kept. The sender has to send it again."
    return ""


CUT = {TRUNCATED, "bytes"}


@transaction.atomic
def replay(*, rejection: Rejection, replayed_by: str) -> Replay:
    """Judge a kept rejection by the rules of today, as of the moment it came, and accept it when it is good.

    It keeps its message id and its time of receipt: a copy that the sender has got through meanwhile is found,
    and untimed messages stay on their day. Raises `Rejection.DoesNotExist` when it is gone.
    """
    row = Rejection.objects.select_for_update(of=("self",)).select_related("key").get(pk=rejection.pk)
    if replay_obstacle(row):
        return Replay(Answer.IMPOSSIBLE)
    judged = JUDGES[Dialect(row.dialect)](row)
    errors = judged.errors or _not_allowed(judged, row)
    if errors or judged.key is None:
        row.errors = [violation.as_dict() for violation in errors]
        row.save(update_fields=["errors"])
        return Replay(Answer.REFUSED, row.errors)
    is_server = judged.key.is_server
    ids = [stored_id(message.message_id, is_server=is_server) for message in judged.messages]
    stored = set(Event.objects.filter(game_id=row.game_id, message_id__in=ids).values_list("message_id", flat=True))
    fresh = [message for message, known in zip(judged.messages, ids, strict=True) if known not in stored]
    for message in fresh:
        message.request_ip, message.origin = row.request_ip, row.origin
    if fresh:
        key = _as_it_was(judged.key)
        accept(key=key, dialect=Dialect(row.dialect), messages=fresh, received_at=row.received_at)
    row.delete()
    logger.info("rejection_replayed", game_id=row.game_id, messages=len(fresh), replayed_by=replayed_by)
    return Replay(Answer.ACCEPTED if fresh else Answer.STORED_BEFORE)


def _not_allowed(judged: kept.Judgement, row: Rejection) -> list[Violation]:
    """Why its key, as it is restricted today, may not send this from where it came."""
    if judged.key is None:
        return []
    found = (
        restrictions.against(judged.key, message, origin=row.origin, address=row.request_ip)
        for message in judged.messages
    )
    return list(dict.fromkeys(filter(None, found)))


def _as_it_was(key: ApiKey) -> ApiKey:
    """A replay is no use of the key: whoever waits for an old one to fall silent must not see it speak."""
    key.last_used_at = clock.now()  # in memory only, which keeps accept() from noting the time
    return key
