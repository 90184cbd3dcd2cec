"""Texts for conversions and deliveries that fail repeatedly, shown instead of "waiting"."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import CharField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, JSONObject

from audience.models import Conversion, FailedWork, Queue

FAILURES = {
    Queue.FAN_OUT: "The conversion could not be assigned to postbacks",
    Queue.SENDING: "The conversion could not be sent",
    Queue.CLOSING: "The network answered, but the answer could not be stored, so the conversion is not sent again",
}
SET_ASIDE = "It was set aside after {} attempts. An admin of the game can try again on the Overview."
RETRIED = "It is retried automatically."


@dataclass(frozen=True, slots=True)
class StuckWork:
    """`sentence` names the failure, its error, and what happens next."""

    is_set_aside: bool
    sentence: str


def find_stuck(game_id: int, ids: Iterable[UUID]) -> dict[UUID, StuckWork]:
    """Return {id: StuckWork} of these conversions and deliveries of a game, in one query."""
    by_row = {str(pk): pk for pk in ids}
    failures = FailedWork.objects.filter(game=game_id, queue__in=FAILURES, row__in=by_row).order_by("set_aside_at")
    rows = failures.values_list("row", "queue", "error", "attempts", "set_aside_at")
    return {by_row[row]: _stuck(queue, error, attempts, aside_at) for row, queue, error, attempts, aside_at in rows}


def with_failures(rows: QuerySet[Conversion]) -> QuerySet[Conversion]:
    """Return `rows` with the annotation that `undecided` reads."""
    pk = Cast(OuterRef("pk"), CharField())
    failures = FailedWork.objects.filter(game=OuterRef("game"), queue=Queue.FAN_OUT, row=pk)
    failure = JSONObject(error="error", attempts="attempts", set_aside_at="set_aside_at")
    return rows.annotate(failure=Subquery(failures.values(failure=failure)[:1]))


def undecided(conversion: Conversion) -> StuckWork | None:
    """Return the failure that prevents the fan-out of a conversion of `with_failures`, or None."""
    failure = getattr(conversion, "failure", None)
    if failure is None or conversion.fanned_out_at is not None:
        return None
    return _stuck(Queue.FAN_OUT, failure["error"], failure["attempts"], failure["set_aside_at"])


def _stuck(queue: str, error: str, attempts: int, set_aside_at: object) -> StuckWork:
    next_step = SET_ASIDE.format(attempts) if set_aside_at else RETRIED
    return StuckWork(bool(set_aside_at), f"{FAILURES[Queue(queue)]}: {error.rstrip('.')}. {next_step}")
