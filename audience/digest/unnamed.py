"""Players without a name: weak ids that were never named with a user and were seen together are one of them."""

import uuid
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime

from audience.digest import ownership, persons
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey
from audience.digest.ownership import KnownId, Owning
from audience.digest.persons import Member, Merged, UnionFind
from audience.digest.reassignment import WeakEvents, first_events
from audience.models import Game, Identity, Owners


def left_over(game: Game, freed: Iterable[uuid.UUID], changed: Iterable[int]) -> list[KnownId]:
    """Return the other weak ids of persons without a name that lost one."""
    rows = Identity.objects.filter(person_id__in=list(freed), owners=Owners.NONE).exclude(pk__in=list(changed))
    fields = ("pk", "person_id", "owners", "named_at", "first_seen_at")
    return [KnownId((row.namespace, row.value), *(getattr(row, name) for name in fields)) for row in rows]


def assign(
    game: Game,
    groups: Sequence[tuple[int, EventGroup]],
    earlier: Sequence[WeakEvents],
    loose: Sequence[KnownId],
    freed: set[uuid.UUID],
    owning: Owning,
    merged: Merged,
) -> tuple[dict[int, uuid.UUID], set[uuid.UUID]]:
    """Set the person of each weak id without an owner that tells of somebody by itself, in `owning` and the database.

    `groups`: those of this digest that name no user, with their places. `earlier`: earlier events with the `loose` ids,
    which belonged to the persons `freed`. Returns {place: person} of groups without any usable id, and those of `freed`
    that have no id any more.
    """
    sets = UnionFind()
    members: list[tuple[Sequence[Member], datetime]] = [
        *((_tellers(owning, event.keys), event.first_at) for event in earlier),
        *((_tellers(owning, group.ids.weak), group.first_at) for _, group in groups if group.ids.weak),
        *(([place], group.first_at) for place, group in groups if not group.ids.weak),
    ]
    _join(sets, [those for those, _ in members], owning, freed)
    gone = _keep_freed(sets, loose, freed)
    first_at: dict[Member, datetime] = {}
    for those, at in members:
        if those:
            root = sets.root(those[0])
            first_at[root] = min(at, first_at.get(root, at))
    found = persons.of_roots(game, sets, first_at, merged)
    changed = _set_persons(sets, found, owning)
    ownership.change(game, [*changed, *_told_by_others(game, sets, loose, owning)])
    return {place: found[sets.root(place)] for place, group in groups if not group.ids.weak}, gone


def _join(sets: UnionFind, members: Iterable[Sequence[Member]], owning: Owning, freed: Container[uuid.UUID]) -> None:
    """Join the ids that were seen together, and each with its person unless that lost an id."""
    for those in members:
        sets.join(those)
    for key in sets.ids():
        one = owning.known[key]
        if one.person_id is not None and one.owners == Owners.NONE and one.person_id not in freed:
            sets.join([one.person_id, key])


def _set_persons(sets: UnionFind, found: Mapping[Member, uuid.UUID], owning: Owning) -> list[KnownId]:
    """Set the persons of the ids that tell of somebody; return those that changed."""
    changed = []
    for key in sets.ids():
        one, person_id = owning.known[key], found[sets.root(key)]
        if (one.person_id, one.owners) != (person_id, Owners.NONE):
            one.person_id, one.owners = person_id, Owners.NONE
            changed.append(one)
    return changed


def _tellers(owning: Owning, keys: Iterable[IdentityKey]) -> list[IdentityKey]:
    """Return the ids that tell of a player without a name; [] if one of these has an owner."""
    present = list(keys)
    return [] if any(map(owning.is_named, present)) else present


def _told_by_others(game: Game, sets: UnionFind, loose: Iterable[KnownId], owning: Owning) -> list[KnownId]:
    """Set the person of the ids that tell of nobody by themselves: the player of their first event. Return them.

    Those without an event, which only an alias had named, are deleted.
    """
    lost = {one.key for one in loose}
    silent = [
        one
        for key, one in owning.known.items()
        if not one.is_named and key not in sets.members and (one.owners or one.person_id is None or key in lost)
    ]
    first = first_events(game, silent)
    owning.add(game, (key for event in first.values() for key in event.keys))
    Identity.objects.filter(pk__in=[one.pk for one in silent if one.key not in first]).delete()
    told = [one for one in silent if one.key in first]
    for one in told:
        one.person_id, one.owners = first[one.key].player(owning), Owners.OTHER
    return told


def _keep_freed(sets: UnionFind, loose: Sequence[KnownId], freed: set[uuid.UUID]) -> set[uuid.UUID]:
    """Give each freed person to the first of its ids that still tells of somebody; return those without one."""
    kept: dict[uuid.UUID, KnownId] = {}
    for one in sorted(loose, key=lambda one: (one.first_seen_at, one.key)):
        if one.person_id in freed and one.key in sets.members:
            kept.setdefault(one.person_id, one)
    for person_id, one in kept.items():
        sets.join([person_id, one.key])
    return freed - set(kept)
