"""Resolves the person of each event (docs/identity.md).

Strong ids (user ids, and ids that a merge or a typed identify names) are joined by explicit calls only; persons that
turn out to be one are merged into the one seen first. Weak ids (anonymous, device) have owners: ownership.py.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audience.digest import active_quarters, ownership, persons, pruned_ids, reassignment, strong_ids, unnamed
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey
from audience.digest.owner_changes import differs_from
from audience.digest.ownership import WeakOwners
from audience.digest.persons import Merged
from audience.digest.reassignment import WeakEvents
from audience.digest.strong_ids import NamedPersons
from audience.digest.weak_ids import WeakIds
from audience.models import Event, Game
from audience.models.people import ANONYMOUS, USER


@dataclass(slots=True)
class ResolvedPlayers:
    """`by_event`: {event id: person id} of the relevant events. `changed`: persons changed by a merge or a move.

    `moved`: events of earlier digests that must be digested again; `by_event` has their persons too.
    `quarters`: {person id: quarter hours of activity}, without those of known persons that the database has recorded.
    `reread`: persons whose activity is read from their events instead, since a group has events of several players.
    """

    by_event: dict[int, uuid.UUID] = field(default_factory=dict)
    changed: set[uuid.UUID] = field(default_factory=set)
    moved: list[Event] = field(default_factory=list)
    quarters: dict[uuid.UUID, set[datetime]] = field(default_factory=lambda: defaultdict(set))
    reread: set[uuid.UUID] = field(default_factory=set)


@dataclass(slots=True)
class DigestInput:
    """What a digest reads: groups of events, {id: event} of the relevant ones, and the ids of all events.

    `groups` have no person yet; `known_groups` belong to known players, unless the owner of an id changes now.
    `triggers` are the names of events that become conversions.
    """

    game: Game
    groups: list[EventGroup]
    known_groups: list[EventGroup]
    events: Mapping[int, Event]
    event_ids: set[int]
    triggers: Sequence[str]

    def add_affected(self, keys: set[IdentityKey]) -> None:
        """Add the groups that name no user and have one of these ids."""
        added = [group for group in self.known_groups if not group.ids.strong and not keys.isdisjoint(group.ids.weak)]
        self.groups += added


def resolve(
    *,
    game: Game,
    groups: Sequence[EventGroup],
    events: Sequence[Event],
    event_ids: Iterable[int],
    triggers: Sequence[str],
) -> ResolvedPlayers:
    """Find, create or merge the persons of all events. `event_ids` are the ids of all events of this digest."""
    people, merged = ResolvedPlayers(), Merged()
    for group in groups:
        if group.person_id is not None:
            people.by_event.update(dict.fromkeys(group.events, group.person_id))
    # With the groups whose player changes, from `_resolve` on.
    unresolved = [group for group in groups if group.person_id is None]
    if unresolved:
        known_groups = [group for group in groups if group.person_id is not None]
        by_id = {event.pk: event for event in events}
        _resolve(DigestInput(game, unresolved, known_groups, by_id, set(event_ids), triggers), people, merged)
    assigned = {id(group) for group in unresolved}
    for group in groups:
        if group.person_id is not None and id(group) not in assigned:
            people.quarters[group.person_id].update(group.quarters)
    people.by_event = {pk: merged.final(person_id) for pk, person_id in people.by_event.items()}
    quarters = people.quarters
    people.quarters = defaultdict(set)
    for person_id, moments in quarters.items():
        people.quarters[merged.final(person_id)] |= moments
    people.reread = {merged.final(person_id) for person_id in people.reread}
    people.changed = {merged.final(person_id) for person_id in people.changed | set(merged.values())}
    return people


def _resolve(digest: DigestInput, people: ResolvedPlayers, merged: Merged) -> None:
    game, groups = digest.game, digest.groups
    looked_up = _keys(groups)
    known = ownership.known_ids(game, looked_up)
    undecided = pruned_ids.restore_seen(game, groups, known)
    named = strong_ids.resolve(game, groups, known, merged)
    changes = WeakIds(game, known, merged).decide(groups, named, undecided)
    unowned = unnamed.ids_of_unnamed(game, changes.new_owners, excluded=changes.affected)
    unowned += [row for row in changes.affected.values() if not row.owners]
    digest.add_affected({row.key for row in [*changes.affected.values(), *unowned]})
    earlier = reassignment.weak_events(game, [*changes.affected.values(), *unowned], digest.event_ids)
    keys = {key for event in earlier for key in event.keys} | {row.key for row in unowned}
    before = ownership.load(game, keys)
    changes.write(game)
    weak = {key for group in groups for key in group.ids.weak}
    after = ownership.with_runs({key: known[key] for key in weak if key in known})
    # The ids of the groups that are not known yet are new.
    after.add(game, keys | (weak - looked_up))
    named.by_group += [None] * (len(digest.groups) - len(named.by_group))
    # Events without any usable id are joined to nobody; each relevant one gets its own player.
    without_user = [(index, group) for index, group in enumerate(digest.groups) if named.by_group[index] is None]
    without_user = [(index, group) for index, group in without_user if group.ids.weak or group.events]
    by_index, without_ids = unnamed.assign(game, without_user, earlier, unowned, set(changes.new_owners), after, merged)
    _assign(digest, named, by_index, after, merged, people)
    _move(digest, earlier, before, after, {pk: changes.new_owners[pk] for pk in without_ids}, merged, people)


def _keys(groups: Iterable[EventGroup]) -> set[IdentityKey]:
    keys: set[IdentityKey] = set()
    for group in groups:
        ids = group.ids
        keys.update(ids.strong, ids.weak, ids.aliased)
        if ids.previous:
            keys.update([(USER, ids.previous), (ANONYMOUS, ids.previous)])
    return keys


def _assign(
    digest: DigestInput,
    named: NamedPersons,
    by_index: Mapping[int, uuid.UUID],
    lookup: WeakOwners,
    merged: Merged,
    people: ResolvedPlayers,
) -> None:
    """Set the person of each event, and when each person was seen."""
    seen: dict[uuid.UUID, list[EventGroup]] = defaultdict(list)
    for index, group in enumerate(digest.groups):
        person_id = named.by_group[index] or by_index.get(index)
        if person_id is None and not group.ids.weak:
            continue
        if person_id is None:
            for pk in group.events:
                people.by_event[pk] = _player(group, lookup, digest.events[pk].event_at)
            person_id = _player(group, lookup, group.active_at or group.first_at)
            players = _players(group, lookup)
        else:
            people.by_event.update(dict.fromkeys(group.events, person_id))
            players = {person_id}
        seen[merged.final(person_id)].append(group)
        _add_activity(digest.game, group, players, people)
    persons.record_seen(digest.game, seen, merged)


def _player(group: EventGroup, lookup: WeakOwners, moment: datetime) -> uuid.UUID:
    player = lookup.player(group.ids.weak, moment)
    assert player is not None, "every weak id of an event without a user has a player"
    return player


def _players(group: EventGroup, lookup: WeakOwners) -> set[uuid.UUID]:
    """Return the players of the events of a group without a user: the owner of an id may change between them."""
    changes = {moment for key in group.ids.weak for moment in lookup.changes(key)}
    moments = {group.first_at, group.last_at, *(at for at in changes if group.first_at < at < group.last_at)}
    return {_player(group, lookup, moment) for moment in moments}


def _add_activity(game: Game, group: EventGroup, players: set[uuid.UUID], people: ResolvedPlayers) -> None:
    if len(players) == 1:
        people.quarters[next(iter(players))].update(group.quarters)
    else:
        people.reread |= players
    if group.person_id is not None and players != {group.person_id}:
        # The database has recorded them for the player that the ids had before.
        active_quarters.remove(game_id=game.pk, quarters={group.person_id: group.quarters})
        people.reread.add(group.person_id)


def _move(
    digest: DigestInput,
    earlier: Sequence[WeakEvents],
    before: WeakOwners,
    after: WeakOwners,
    without_ids: Mapping[uuid.UUID, uuid.UUID | None],
    merged: Merged,
    people: ResolvedPlayers,
) -> None:
    """Move what earlier events added to a player, where the events belong to another player now."""
    moves: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
    keys = {key for events in earlier for key in events.keys}
    differs = {key: differs_from(before, after, key) for key in keys}
    for old, new in (move for events in earlier for move in events.moves(before, after, differs)):
        if old and new:
            moves[merged.final(old)].add(merged.final(new))
    for person_id, owner in without_ids.items():
        # Without an event that decides, the person is merged into the new owner of its id.
        targets = moves.get(person_id, {owner} if owner else set())
        if len(targets) == 1:
            people.changed.add(merged.merge([person_id, *targets]))
            moves.pop(person_id, None)
    # Read after these merges, which may include a player of another move.
    final = [(merged.final(old), merged.final(new)) for old, targets in moves.items() for new in targets]
    former = {old for old, new in final if new != old}
    if not former:
        return
    owners = reassignment.reassign(digest.game, former, earlier, digest.triggers, digest.event_ids)
    reassignment.remove_empty(without_ids)
    people.moved = list(owners)
    people.by_event.update({event.pk: person_id for event, person_id in owners.items()})
    people.changed |= (former - set(without_ids)) | set(owners.values())
