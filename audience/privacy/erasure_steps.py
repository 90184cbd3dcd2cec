"""Steps shared by the erasure of a player and of a shared id."""

import uuid
from collections.abc import Callable, Iterable
from typing import NamedTuple

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from audience.digest import ownership, reassignment
from audience.digest.event_ids import IdentityKey
from audience.models import Batch, BatchState, Conversion, Event, FailedWork, Game, Identity, Kind, Owners, Reason
from audience.privacy import redaction

ROWS_PER_QUERY = 1_000


class Erased(NamedTuple):
    """The counts of a receipt, and the erased ids: their conversions that arrive later are not sent.

    `keys` are the ids that belonged to the erased player alone, in canonical form; a suppression refuses their events.
    """

    counts: dict[str, int]
    values: list[str]
    keys: list[IdentityKey]


def conversions_of(game: Game, events: QuerySet[Event]) -> list[uuid.UUID]:
    """Return the ids of the conversions of these events, whichever player they belong to."""
    keys = set(events.filter(kind=Kind.TRACK).values_list("message_id", "day"))
    message_ids = sorted({message_id for message_id, _ in keys})
    pks: list[uuid.UUID] = []
    for start in range(0, len(message_ids), ROWS_PER_QUERY):
        rows = Conversion.objects.filter(game=game, message_id__in=message_ids[start : start + ROWS_PER_QUERY])
        pks += [pk for pk, *key in rows.values_list("pk", "message_id", "event_day") if tuple(key) in keys]
    return pks


def erase_in_postbacks(
    game: Game, *, person_ids: Iterable[uuid.UUID] = (), conversion_ids: Iterable[uuid.UUID] = ()
) -> int:
    """Cancel the waiting postbacks of these persons and conversions and erase their contents; return how many."""
    ids = list(conversion_ids)
    erase: Callable[..., int] = import_string(settings.ERASURE_HOOK)
    cancelled = erase(person_ids=list(person_ids), conversion_ids=ids)
    FailedWork.objects.filter(game_id=game.pk, row__in=[str(pk) for pk in ids]).delete()
    return cancelled


def mark_click_erased(conversions: QuerySet[Conversion]) -> None:
    """Mark conversions of other players that were fanned out with a click that is erased.

    Otherwise they would be attributed to another click and reported again.
    """
    conversions.exclude(fanned_out_at=None).filter(reason="").update(reason=Reason.ERASED)


def assign_to_others(game: Game, keys: Iterable[IdentityKey]) -> set[IdentityKey]:
    """Assign each of these weak ids to the player of its first remaining event, which is known by another id.

    Ids without remaining events are deleted, and returned.
    """
    ids = ownership.known_ids(game, keys)
    first = reassignment.first_events(game, list(ids.values()))
    lookup = ownership.load(game, {key for event in first.values() for key in event.keys})
    for key, event in first.items():
        ids[key].person_id, ids[key].owners, ids[key].named_at = event.player(lookup), Owners.OTHER, None
    ownership.change(game, [ids[key] for key in first])
    deleted = ids.keys() - first.keys()
    Identity.objects.filter(pk__in=[ids[key].pk for key in deleted]).delete()
    return deleted


def redact_batch_errors(game: Game, values: list[str]) -> None:
    """Remove these values from the errors of failed batches, which may quote what was sent."""
    for batch in Batch.objects.filter(game=game, state=BatchState.FAILED).exclude(error=""):
        error = redaction.redact(batch.error, values)
        if error != batch.error:
            Batch.objects.filter(pk=batch.pk).update(error=error)
