"""Resolves the person of each event (docs/identity.md).

Strong ids (user ids, and ids that a merge or a typed identify names) are joined by explicit calls only; persons that
turn out to be one are merged into the one seen first. Weak ids (anonymous, device) tell who was there: ownership.py.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audience.digest import ownership, persons, pruned_ids, reassignment, strong_ids, unnamed
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey
from audience.digest.owner_changes import differs_from
from audience.digest.ownership import Owning
from audience.digest.persons import Merged
from audience.digest.reassignment import WeakEvents
from audience.digest.strong_ids import Named
from audience.digest.weak_ids import WeakIds
from audience.models import Event, Game
from audience.models.people import ANONYMOUS, DEVICE, USER


@dataclass(slots=True)
class People:
    """The person of each event that matters (event id -> person id), and the persons whose facts changed otherwise.

    `moved` are events of earlier digests that are to be digested once more; `by_event` has their persons too.
    """

    by_event: dict[int, uuid.UUID] = field(default_factory=dict)
    changed: set[uuid.UUID] = field(default_factory=set)
    moved: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """What a run of the digest reads: groups of events, the events that matter, the ids of all, and the counted names.

    `groups` have no person yet; `others` belong to known players, unless the owner of an id changes in this run.
    """

    game: Game
    groups: list[EventGroup]
    others: list[EventGroup]
    events: Mapping[int, Event]
    digesting: set[int]
    counted: Sequence[str]

    def add_affected(self, keys: set[IdentityKey]) -> None:
        """Add the groups that name no user and have one of these ids."""
        added = [group for group in self.others if not group.ids.strong and not keys.isdisjoint(group.ids.weak)]
        self.groups += added


def resolve(
    *, game: Game, seen: Sequence[EventGroup], events: Sequence[Event], digesting: Iterable[int], counted: Sequence[str]
) -> People:
    """Find, create or merge the persons of all events. `digesting` are the ids of all events of this run."""
    people, merged = People(), Merged()
    for group in seen:
        if group.person_id is not None:
            people.by_event.update(dict.fromkeys(group.events, group.person_id))
    groups = [group for group in seen if group.person_id is None]
    if groups:
        others = [group for group in seen if group.person_id is not None]
        by_id = {event.pk: event for event in events}
        _resolve(Run(game, groups, others, by_id, set(digesting), counted), people, merged)
    people.by_event = {pk: merged.final(person_id) for pk, person_id in people.by_event.items()}
    people.changed = {merged.final(person_id) for person_id in people.changed | set(merged.values())}
    return people


def _resolve(run: Run, people: People, merged: Merged) -> None:
    game, groups = run.game, run.groups
    known = ownership.known_ids(game, _keys(groups))
    undecided = pruned_ids.restore_seen(game, groups, known)
    named = strong_ids.resolve(game, groups, known, merged)
    changes = WeakIds(game, known, merged).decide(groups, named, undecided)
    loose = unnamed.left_over(game, changes.freed, changes.affected)
    loose += [one for one in changes.affected.values() if not one.owners]
    run.add_affected({one.key for one in [*changes.affected.values(), *loose]})
    earlier = reassignment.weak_events(game, [*changes.affected.values(), *loose], run.digesting)
    keys = {key for event in earlier for key in event.keys} | {one.key for one in loose}
    before = ownership.load(game, keys)
    changes.write(game)
    after = ownership.load(game, keys | {key for group in groups for key in group.ids.weak})
    named.by_group += [None] * (len(run.groups) - len(named.by_group))
    # Events without any usable id are joined to nobody; those that matter are a player of their own.
    told = [(place, group) for place, group in enumerate(run.groups) if named.by_group[place] is None]
    places = [(place, group) for place, group in told if group.ids.weak or group.events]
    without_ids, gone = unnamed.assign(game, places, earlier, loose, set(changes.freed), after, merged)
    _assign(run, named, without_ids, after, merged, people)
    _move(run, earlier, before, after, {one: changes.freed[one] for one in gone}, merged, people)


def _keys(groups: Iterable[EventGroup]) -> set[IdentityKey]:
    keys: set[IdentityKey] = set()
    for group in groups:
        ids = group.ids
        keys.update(ids.strong, ids.weak, ids.aliased)
        if ids.previous:
            keys.update([(USER, ids.previous), (ANONYMOUS, ids.previous)])
    return keys


def _assign(
    run: Run, named: Named, without_ids: Mapping[int, uuid.UUID], owning: Owning, merged: Merged, people: People
) -> None:
    """Set the person of each event, and when each person was seen."""
    seen: dict[uuid.UUID, list[EventGroup]] = defaultdict(list)
    for place, group in enumerate(run.groups):
        person_id = named.by_group[place] or without_ids.get(place)
        if person_id is None and not group.ids.weak:
            continue
        if person_id is None:
            for pk in group.events:
                people.by_event[pk] = _player(group, owning, run.events[pk].event_at)
            person_id = _player(group, owning, group.active_at or group.first_at)
        else:
            people.by_event.update(dict.fromkeys(group.events, person_id))
        seen[merged.final(person_id)].append(group)
    persons.widen(run.game, seen)


def _player(group: EventGroup, owning: Owning, at: datetime) -> uuid.UUID:
    keys = dict(group.ids.weak)
    player = owning.player(keys.get(ANONYMOUS, ""), keys.get(DEVICE, ""), at)
    assert player is not None, "every weak id of an event without a user has a player"
    return player


def _move(
    run: Run,
    earlier: Sequence[WeakEvents],
    before: Owning,
    after: Owning,
    gone: Mapping[uuid.UUID, uuid.UUID | None],
    merged: Merged,
    people: People,
) -> None:
    """Move what earlier events told, where they belong to another player now."""
    moves: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
    keys = {key for events in earlier for key in events.keys}
    differs = {key: differs_from(before, after, key) for key in keys}
    for old, new in (move for events in earlier for move in events.moves(before, after, differs)):
        if old and new:
            moves[merged.final(old)].add(merged.final(new))
    for person_id, owner in gone.items():
        # Without an event to ask, what is known of the person goes to the owner of its id.
        targets = moves.get(person_id, {owner} if owner else set())
        if len(targets) == 1:
            people.changed.add(merged.merge([person_id, *targets]))
            moves.pop(person_id, None)
    losers = {old for old, new in moves.items() if new != {old}}
    if not losers:
        return
    owners = reassignment.reassign(run.game, losers, earlier, run.counted, run.digesting)
    reassignment.remove_empty(gone)
    people.moved = list(owners)
    people.by_event.update({event.pk: person_id for event, person_id in owners.items()})
    people.changed |= (losers - set(gone)) | set(owners.values())
