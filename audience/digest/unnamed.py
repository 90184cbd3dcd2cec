"""Players without a user id: weak ids that were seen together and never named with a user are one player."""

import uuid
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime

from audience.digest import ownership, persons, spellings
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey
from audience.digest.ownership import KnownId, NewId, WeakOwners
from audience.digest.persons import Member, Merged, UnionFind
from audience.digest.reassignment import WeakEvents, first_events
from audience.models import Game, Identity, Owners


def ids_of_unnamed(game: Game, persons: Iterable[uuid.UUID], *, excluded: Iterable[int]) -> list[KnownId]:
    """Return the weak ids, except `excluded`, of these persons without a user id."""
    rows = Identity.objects.filter(person_id__in=list(persons), owners=Owners.NONE).exclude(pk__in=list(excluded))
    fields = ("pk", "person_id", "owners", "named_at", "first_seen_at")
    return [KnownId((row.namespace, row.value), *(getattr(row, name) for name in fields)) for row in rows]


def assign(
    game: Game,
    groups: Sequence[tuple[int, EventGroup]],
    earlier: Sequence[WeakEvents],
    unowned: Sequence[KnownId],
    former_persons: set[uuid.UUID],
    lookup: WeakOwners,
    merged: Merged,
) -> tuple[dict[int, uuid.UUID], set[uuid.UUID]]:
    """Set the person of the weak ids without an owner, in `lookup` and the database; new ids are added.

    `groups`: [(index, group), ...] of this digest that name no user. `earlier`: earlier events with the `unowned` ids,
    which belonged to `former_persons`. Returns {index: person} of groups without any usable id, and those of
    `former_persons` that have no id any more.
    """
    sets = UnionFind()
    members: list[tuple[Sequence[Member], datetime]] = [
        *((_unnamed_keys(lookup, event.keys), event.first_at) for event in earlier),
        *((_unnamed_keys(lookup, group.ids.weak), group.first_at) for _, group in groups if group.ids.weak),
        *(([index], group.first_at) for index, group in groups if not group.ids.weak),
    ]
    _join(sets, [group_members for group_members, _ in members], lookup, former_persons)
    without_ids = _keep_former_persons(sets, unowned, former_persons)
    first_at: dict[Member, datetime] = {}
    for group_members, first_seen_at in members:
        if group_members:
            root = sets.root(group_members[0])
            first_at[root] = min(first_seen_at, first_at.get(root, first_seen_at))
    persons_by_root = persons.find_or_create(sets, first_at, merged)
    _add_new(game, groups, sets, persons_by_root, lookup)
    spellings.record(game, [group for _, group in groups])
    changed = _set_persons(sets, persons_by_root, lookup)
    ownership.change(game, [*changed, *_set_other(game, sets, unowned, lookup)])
    return {index: persons_by_root[sets.root(index)] for index, group in groups if not group.ids.weak}, without_ids


def _join(
    sets: UnionFind, members: Iterable[Sequence[Member]], lookup: WeakOwners, former_persons: Container[uuid.UUID]
) -> None:
    """Join the ids that were seen together, and each with its person unless that person lost an id."""
    for group_members in members:
        sets.join(group_members)
    for key in sets.ids():
        row = lookup.known.get(key)
        if row and row.person_id and row.owners == Owners.NONE and row.person_id not in former_persons:
            sets.join([row.person_id, key])


def _add_new(
    game: Game,
    groups: Iterable[tuple[int, EventGroup]],
    sets: UnionFind,
    persons_by_root: Mapping[Member, uuid.UUID],
    lookup: WeakOwners,
) -> None:
    """Add the ids of these groups that are not stored yet, with their person if they determine one."""
    first_at: dict[IdentityKey, datetime] = {}
    for _, group in groups:
        for key in group.ids.weak:
            if key not in lookup.known:
                first_at[key] = min(group.first_at, first_at.get(key, group.first_at))
    new = {
        key: NewId(seen_at, persons_by_root[sets.root(key)] if key in sets.members else None)
        for key, seen_at in first_at.items()
    }
    lookup.known |= ownership.add(game, new)


def _set_persons(sets: UnionFind, persons_by_root: Mapping[Member, uuid.UUID], lookup: WeakOwners) -> list[KnownId]:
    """Set the persons of these ids; return the ids that changed."""
    changed = []
    for key in sets.ids():
        row, person_id = lookup.known[key], persons_by_root[sets.root(key)]
        if (row.person_id, row.owners) != (person_id, Owners.NONE):
            row.person_id, row.owners = person_id, Owners.NONE
            changed.append(row)
    return changed


def _unnamed_keys(lookup: WeakOwners, keys: Iterable[IdentityKey]) -> list[IdentityKey]:
    """Return these ids if they determine a player without a user id; [] if one of them has an owner."""
    present = list(keys)
    return [] if any(map(lookup.is_named, present)) else present


def _set_other(game: Game, sets: UnionFind, unowned: Iterable[KnownId], lookup: WeakOwners) -> list[KnownId]:
    """Set the person of ids that determine no player themselves to the player of their first event; return them.

    Ids without an event, which only an alias had named, are deleted.
    """
    unowned_keys = {row.key for row in unowned}
    undetermined = [
        row
        for key, row in lookup.known.items()
        if not row.is_named and key not in sets.members and (row.owners or row.person_id is None or key in unowned_keys)
    ]
    first = first_events(game, undetermined)
    lookup.add(game, (key for event in first.values() for key in event.keys))
    Identity.objects.filter(pk__in=[row.pk for row in undetermined if row.key not in first]).delete()
    determined = [row for row in undetermined if row.key in first]
    for row in determined:
        row.person_id, row.owners = first[row.key].player(lookup), Owners.OTHER
    return determined


def _keep_former_persons(sets: UnionFind, unowned: Sequence[KnownId], former_persons: set[uuid.UUID]) -> set[uuid.UUID]:
    """Keep each of these persons for the first of its ids without an owner; return the persons without such an id."""
    first_ids: dict[uuid.UUID, KnownId] = {}
    for row in sorted(unowned, key=lambda row: (row.first_seen_at, row.key)):
        if row.person_id in former_persons and row.key in sets.members:
            first_ids.setdefault(row.person_id, row)
    for person_id, row in first_ids.items():
        sets.join([person_id, row.key])
    return former_persons - set(first_ids)
