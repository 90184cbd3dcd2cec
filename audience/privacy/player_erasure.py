"""Erases a player: the events with its user ids, and those with only weak ids from the times when it owned them.

A weak id that several players share is kept for the others, and so are their events.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace

from django.db.models import QuerySet

from audience.digest import active_quarters, orders, owned_ids, ownership, ownership_runs, spellings
from audience.digest.event_ids import IdentityKey, is_id
from audience.digest.owned_ids import NO_BOUNDS, OwnedId
from audience.digest.ownership import KnownId
from audience.digest.ownership_runs import OwnershipRun
from audience.ids.values import canonical
from audience.models import Conversion, Device, Event, Game, Identity, Owners, Person, Rejection, Touch
from audience.models.people import ANONYMOUS, WEAK
from audience.privacy import erasure_steps, joins, redaction
from audience.privacy.erasure_steps import Erased
from audience.privacy.player_data import decisions_of, rejections_of
from consent.models import ConsentDecision

DELETED_WITH_PERSON = {"conversions": Conversion, "touches": Touch, "devices": Device}
DELETED_WITH_PERSON |= {"identities": Identity, "people": Person}


def erase(game: Game, subject: IdentityKey, person: Person | None) -> Erased:
    """Erase a player; without one, the events of an id that was not digested. `subject` is the id as requested."""
    ids = owned_ids.owned_ids(person) if person else []
    spellings.complete(game, [owned.identity for owned in ids])
    personal = redaction.personal_values([person.pk] if person else [])
    events = owned_ids.events_of(game.pk, ids) if person else _undigested(game, subject)
    counts, other_players = _delete_conversions(game, events, person)
    counts["events"] = events.delete()[0]
    weak = {owned.key for owned in ids if owned.key[0] in WEAK and not owned.is_shared}
    deleted_keys = erasure_steps.assign_to_others(game, weak)
    ids = [replace(owned, periods=(NO_BOUNDS,)) if owned.key in deleted_keys else owned for owned in ids]
    counts["rejections"] = (rejections_of(game.pk, ids) | _rejections(game, subject)).delete()[0]
    counts["consent_decisions"] = (decisions_of(game.pk, ids) | _decisions(game, subject)).delete()[0]
    joins.delete_of_player(game, subject, ids)
    counts |= {"touches": 0, "devices": 0, "identities": len(deleted_keys), "people": 0}
    if person:
        _remove_owner(game, person, ids)
        # With the person's conversions, touches, devices, identities and memberships (on_delete=CASCADE).
        active_quarters.forget([person.pk])
        deleted = person.delete()[1]
        for name, model in DELETED_WITH_PERSON.items():
            counts[name] += deleted.get(model._meta.label, 0)
    orders.choose_purchases(person_ids=other_players, fan_out_again=False)
    own_ids = [owned for owned in ids if owned.is_own and owned.key not in weak - deleted_keys]
    values = sorted({*_spellings(subject), *(spelling for owned in own_ids for spelling in owned.spellings)})
    erasure_steps.redact_batch_errors(game, [*personal, *values])
    # An undigested subject has no player yet.
    keys = [owned.key for owned in own_ids] if person else [(subject[0], canonical(subject[1]))]
    return Erased(counts, values, keys)


def _spellings(subject: IdentityKey) -> list[str]:
    return [subject[1], canonical(subject[1])]


def _undigested(game: Game, subject: IdentityKey) -> QuerySet[Event]:
    named = Event.objects.filter(game_id=game.pk, **{f"{subject[0]}_id__in": _spellings(subject)})
    return named if is_id(subject[1]) else named.none()


def _rejections(game: Game, subject: IdentityKey) -> QuerySet[Rejection]:
    return Rejection.objects.filter(game=game, subjects__overlap=_spellings(subject))


def _decisions(game: Game, subject: IdentityKey) -> QuerySet[ConsentDecision]:
    return ConsentDecision.objects.filter(
        game_id=game.pk, anonymous_id__in=_spellings(subject) if subject[0] == ANONYMOUS else []
    )


def _delete_conversions(
    game: Game, events: QuerySet[Event], person: Person | None
) -> tuple[dict[str, int], set[uuid.UUID]]:
    """Cancel the postbacks that report the player, and delete conversions of these events that other players have.

    Return the counts, and the other players who lose conversions or the clicks of some.

    These postbacks report the player's conversions, conversions of the player's events that were fanned out while they
    belonged to another player, and conversions of others with the player's clicks.
    """
    others = Conversion.objects.exclude(person=person)
    moved = Conversion.objects.filter(moved_to=person).values_list("pk", flat=True) if person else []
    misplaced = others.filter(pk__in=[*erasure_steps.conversions_of(game, events), *moved])
    clicked = others.filter(touch__person=person, touch__isnull=False).exclude(pk__in=misplaced.values("pk"))
    of_person = Conversion.objects.filter(person=person)
    affected = [one for rows in (of_person, misplaced, clicked) for one in rows.only("person_id", "moved_to_id")]
    ids, other_players = [one.pk for one in affected], {orders.owner_of(one) for one in affected}
    cancelled = erasure_steps.erase_in_postbacks(game, person_ids=[person.pk] if person else [], conversion_ids=ids)
    erasure_steps.mark_click_erased(clicked)
    deleted = misplaced.delete()[1].get(Conversion._meta.label, 0)
    return {"postbacks_cancelled": cancelled, "conversions": deleted}, other_players - {person and person.pk}


def _remove_owner(game: Game, person: Person, ids: Sequence[OwnedId]) -> None:
    """Remove the player from the owners of shared ids."""
    shared = {owned.identity.pk: owned.identity for owned in ids if owned.identity.owners == Owners.SEVERAL}
    runs = ownership_runs.load(shared)
    remaining = {pk: _without(person, runs[pk]) for pk in shared}
    rows = [_with_owners(row, remaining[pk]) for pk, row in shared.items() if remaining[pk]]
    ownership.change(game, rows)
    ownership_runs.store(game, {row.pk: remaining[row.pk] if row.owners == Owners.SEVERAL else [] for row in rows})


def _without(person: Person, runs: Sequence[OwnershipRun]) -> list[OwnershipRun]:
    """Return the runs of other players. Two runs of one player with only the person's runs between them are joined."""
    remaining: list[OwnershipRun] = []
    for run in runs:
        if run.person_id == person.pk:
            continue
        if remaining and remaining[-1].person_id == run.person_id:
            remaining[-1] = remaining[-1]._replace(last_at=run.last_at)
        else:
            remaining.append(run)
    return remaining


def _with_owners(row: Identity, runs: Sequence[OwnershipRun]) -> KnownId:
    """Return the identity as owned by the players of these runs."""
    owners, last = Owners.SEVERAL if len(runs) > 1 else Owners.ONE, runs[-1]
    return KnownId((row.namespace, row.value), row.pk, last.person_id, owners, last.first_at, row.first_seen_at)
