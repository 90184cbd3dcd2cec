"""Rows that fail repeatedly, and their texts in place of "waiting"."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import CharField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, JSONObject

from audience.models import Conversion, FailedWork, Queue

WHAT = {
    Queue.FAN_OUT: "It could not be given to the postbacks",
    Queue.SENDING: "It could not be taken up to be sent",
    Queue.CLOSING: "The network answered, and the answer could not be written down, so that it is not sent again",
}
SET_ASIDE = "It was set aside after {} attempts: an admin of the game can have it tried again on the Overview."
AGAIN = "It is tried again by itself."


@dataclass(frozen=True, slots=True)
class StuckWork:
    """`sentence` says what failed, with which error, and what happens next."""

    is_set_aside: bool
    sentence: str


def find_stuck(game_id: int, ids: Iterable[UUID]) -> dict[UUID, StuckWork]:
    """Return {id: StuckWork} of these conversions and deliveries of a game, in one query."""
    by_row = {str(pk): pk for pk in ids}
    found = FailedWork.objects.filter(game=game_id, queue__in=WHAT, row__in=by_row).order_by("set_aside_at")
    rows = found.values_list("row", "queue", "error", "attempts", "set_aside_at")
    return {by_row[row]: _stuck(queue, error, attempts, aside) for row, queue, error, attempts, aside in rows}


def with_failures(rows: QuerySet[Conversion]) -> QuerySet[Conversion]:
    """Return `rows` with what `undecided` reads."""
    known = FailedWork.objects.filter(game=OuterRef("game"), queue=Queue.FAN_OUT, row=Cast(OuterRef("pk"), CharField()))
    failure = JSONObject(error="error", attempts="attempts", aside="set_aside_at")
    return rows.annotate(failure=Subquery(known.values(failure=failure)[:1]))


def undecided(conversion: Conversion) -> StuckWork | None:
    """Return why one of `with_failures` is not fanned out although it was tried, or None."""
    failure = getattr(conversion, "failure", None)
    if failure is None or conversion.fanned_out_at is not None:
        return None
    return _stuck(Queue.FAN_OUT, failure["error"], failure["attempts"], failure["aside"])


def _stuck(queue: str, error: str, attempts: int, aside: object) -> StuckWork:
    ends = SET_ASIDE.format(attempts) if aside else AGAIN
    return StuckWork(bool(aside), f"{WHAT[Queue(queue)]}: {error.rstrip('.')}. {ends}")
