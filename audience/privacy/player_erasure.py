"""Erases a player: what its user ids tell, and what weak ids told while it owned them.

A weak id that several players share stays for the others, and so do their events.
"""

from collections.abc import Sequence
from dataclasses import replace

from django.db.models import QuerySet

from audience.digest import owned_ids, ownership, spellings
from audience.digest.event_ids import IdentityKey, is_id
from audience.digest.owned_ids import ALWAYS, OwnedId
from audience.digest.ownership import KnownId, Run
from audience.ids.values import canonical
from audience.models import Conversion, Device, Event, Game, Identity, Owners, Person, Rejection, Touch
from audience.models.people import ANONYMOUS, WEAK
from audience.privacy import deletion, redaction
from audience.privacy.deletion import Erased
from audience.privacy.player_data import decisions_of, rejections_of
from consent.models import ConsentDecision

DELETED_WITH_PERSON = {
    "conversions": Conversion,
    "touches": Touch,
    "devices": Device,
    "identities": Identity,
    "people": Person,
}


def erase(game: Game, subject: IdentityKey, person: Person | None) -> Erased:
    """Erase a player; without one, the events of an id that was not digested. `subject` is in any form."""
    ids = owned_ids.owned_ids(person) if person else []
    spellings.complete(game, [one.identity for one in ids])
    personal = redaction.personal_values([person.pk] if person else [])
    events = owned_ids.events_of(game.pk, ids) if person else _undigested(game, subject)
    counts = _delete_conversions(game, events, person)
    counts["events"] = events.delete()[0]
    weak = {one.key for one in ids if one.key[0] in WEAK and not one.is_shared}
    gone = deletion.leave_to_others(game, weak)
    ids = [replace(one, periods=(ALWAYS,)) if one.key in gone else one for one in ids]
    counts["rejections"] = (rejections_of(game.pk, ids) | _rejections(game, subject)).delete()[0]
    counts["consent_decisions"] = (decisions_of(game.pk, ids) | _decisions(game, subject)).delete()[0]
    counts |= {"touches": 0, "devices": 0, "identities": len(gone), "people": 0}
    if person:
        _release(game, person, ids)
        # With the person's conversions, touches, devices, identities and memberships (on_delete=CASCADE).
        deleted = person.delete()[1]
        for name, model in DELETED_WITH_PERSON.items():
            counts[name] += deleted.get(model._meta.label, 0)
    own = [one for one in ids if one.is_own and one.key not in weak - gone]
    values = sorted({*_forms(subject), *(form for one in own for form in one.forms)})
    deletion.redact_batch_errors(game, [*personal, *values])
    return Erased(counts, values)


def _forms(subject: IdentityKey) -> list[str]:
    return [subject[1], canonical(subject[1])]


def _undigested(game: Game, subject: IdentityKey) -> QuerySet[Event]:
    named = Event.objects.filter(game_id=game.pk, **{f"{subject[0]}_id__in": _forms(subject)})
    return named if is_id(subject[1]) else named.none()


def _rejections(game: Game, subject: IdentityKey) -> QuerySet[Rejection]:
    return Rejection.objects.filter(game=game, subjects__overlap=_forms(subject))


def _decisions(game: Game, subject: IdentityKey) -> QuerySet[ConsentDecision]:
    return ConsentDecision.objects.filter(
        game_id=game.pk, anonymous_id__in=_forms(subject) if subject[0] == ANONYMOUS else []
    )


def _delete_conversions(game: Game, events: QuerySet[Event], person: Person | None) -> dict[str, int]:
    """Cancel the postbacks that report the player, and delete what others have of these events.

    Postbacks report the player by its conversions, by conversions of its events that were handed over under another
    player, and by conversions of others with its clicks.
    """
    others = Conversion.objects.exclude(person=person)
    moved = Conversion.objects.filter(moved_to=person).values_list("pk", flat=True) if person else []
    misplaced = others.filter(pk__in=[*deletion.conversions_of(game, events), *moved])
    clicked = others.filter(touch__person=person, touch__isnull=False).exclude(pk__in=misplaced.values("pk"))
    own = Conversion.objects.filter(person=person)
    ids = [pk for rows in (own, misplaced, clicked) for pk in rows.values_list("pk", flat=True)]
    cancelled = deletion.cancel_postbacks(game, person_ids=[person.pk] if person else [], conversion_ids=ids)
    deletion.settle_without_click(clicked)
    return {"postbacks_cancelled": cancelled, "conversions": misplaced.delete()[1].get(Conversion._meta.label, 0)}


def _release(game: Game, person: Person, ids: Sequence[OwnedId]) -> None:
    """Leave the ids that the player shares to the others."""
    shared = {one.identity.pk: one.identity for one in ids if one.identity.owners == Owners.SEVERAL}
    runs = ownership.runs(shared)
    kept = {pk: _without(person, runs[pk]) for pk in shared}
    rows = [_known(row, kept[pk]) for pk, row in shared.items() if kept[pk]]
    ownership.change(game, rows)
    ownership.store(game, {row.pk: kept[row.pk] if row.owners == Owners.SEVERAL else [] for row in rows})


def _without(person: Person, runs: Sequence[Run]) -> list[Run]:
    """Return the runs of the others; two of one player that were parted by the person's alone are one."""
    kept: list[Run] = []
    for run in runs:
        if run.person_id == person.pk:
            continue
        if kept and kept[-1].person_id == run.person_id:
            kept[-1] = kept[-1]._replace(last_at=run.last_at)
        else:
            kept.append(run)
    return kept


def _known(row: Identity, runs: Sequence[Run]) -> KnownId:
    """Return the id with these owners."""
    owners, last = Owners.SEVERAL if len(runs) > 1 else Owners.ONE, runs[-1]
    return KnownId((row.namespace, row.value), row.pk, last.person_id, owners, last.first_at, row.first_seen_at)
