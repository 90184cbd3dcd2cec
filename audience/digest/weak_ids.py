"""Decides who owns the weak ids of a digest's events: nobody, one player, several at different times, or a crowd."""

import uuid
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from audience.digest import ownership, ownership_runs, persons, spellings
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey
from audience.digest.namings import Naming, namings_of, read_runs, store_aliases
from audience.digest.ownership import MAX_ALL_RUNS, MAX_OWNERS, MAX_RUNS, RUNS_PERIOD, KnownId, NewId
from audience.digest.ownership_runs import OwnershipRun
from audience.digest.persons import Merged
from audience.digest.strong_ids import NamedPersons
from audience.models import Game, Identity, Owners, Ownership, OwnershipSource
from audience.models.people import WEAK


@dataclass(slots=True)
class Changes:
    """The changes of owners of weak ids, by primary key of the Identity.

    `new`: the identities of ids that no earlier event has. `rows`: the identities to write. `runs`: the runs of those
    with several owners, or the users of a crowd's id. `affected`: identities whose owner at some time has changed and
    whose earlier events may move. `new_owners`: {person without a user id that lost such an id: its owner now}.
    """

    new: set[int] = field(default_factory=set)
    rows: dict[int, KnownId] = field(default_factory=dict)
    runs: dict[int, list[OwnershipRun]] = field(default_factory=dict)
    affected: dict[int, KnownId] = field(default_factory=dict)
    new_owners: dict[uuid.UUID, uuid.UUID | None] = field(default_factory=dict)

    def write(self, game: Game) -> None:
        ownership.change(game, self.rows.values())
        ownership_runs.store(game, self.runs)

    def set_owners(self, row: KnownId, owners: str, person_id: uuid.UUID | None, named_at: datetime | None) -> None:
        """Set the owners of an identity that had others before, or none."""
        if row.owners in (Owners.NONE, Owners.CROWD) and owners != row.owners and row.person_id:
            self.new_owners[row.person_id] = person_id
        row.owners, row.person_id, row.named_at = owners, person_id, named_at
        self.rows[row.pk] = row
        if row.pk not in self.new or not row.owners:
            self.affected[row.pk] = row


class WeakIds:
    """The weak ids of a digest's groups of events. `known` are the identities; new ids that are named are added."""

    def __init__(self, game: Game, known: dict[IdentityKey, KnownId], merged: Merged) -> None:
        self.game, self.known, self.merged = game, known, merged
        self.changes = Changes()

    def decide(self, groups: Sequence[EventGroup], named: NamedPersons, undecided: Iterable[IdentityKey]) -> Changes:
        """Decide the owners of all weak ids of these groups, and of `undecided`, whose earlier events are read."""
        namings = list(namings_of(groups, named))
        by_key: dict[IdentityKey, list[Naming]] = defaultdict(list)
        for naming in namings:
            by_key[naming.key].append(naming)
        self._add_new(groups, by_key)
        spellings.record(self.game, groups)
        store_aliases(self.game, namings, self.known)
        self.known |= ownership.known_ids(self.game, named.unaliased)
        rebuild = {self.known[key].pk: self.known[key] for key in [*named.unaliased, *undecided]}
        rebuild |= self._shared_ids_of_merged()
        several = [row for key in by_key if (row := self.known[key]).owners == Owners.SEVERAL]
        runs = ownership_runs.load(row.pk for row in several)
        for key, key_namings in by_key.items():
            row = self.known[key]
            if row.pk not in rebuild and not self._decide_at_once(row, key_namings, runs.get(row.pk, [])):
                rebuild[row.pk] = row
        self._rebuild(rebuild.values(), runs, named.unaliased)
        return self.changes

    def _add_new(self, groups: Sequence[EventGroup], namings: Mapping[IdentityKey, Sequence[Naming]]) -> None:
        """Add the new ids that are named, and update the time at which known ones were first seen.

        New ids that no user is named with are added with their player (unnamed.py).
        """
        seen: dict[IdentityKey, datetime] = {}
        times = [(key, group.first_at) for group in groups for key in group.ids.weak]
        times += [(key, naming.first_at) for key, key_namings in namings.items() for naming in key_namings]
        for key, first_at in times:
            seen[key] = min(first_at, seen.get(key, first_at))
        for key, first_at in seen.items():
            if key in self.known and first_at < self.known[key].first_seen_at:
                self.known[key].first_seen_at = first_at
                self.changes.rows[self.known[key].pk] = self.known[key]
        new = {key: _new_id(seen[key], namings[key]) for key in namings if key not in self.known}
        added = ownership.add(self.game, new)
        self.known |= added
        self.changes.new.update(row.pk for row in added.values())
        for row in self.known.values():
            row.person_id = self.merged.final(row.person_id) if row.person_id else None

    def _decide_at_once(self, row: KnownId, namings: Sequence[Naming], runs: list[OwnershipRun]) -> bool:
        """Decide from these events alone; return False if earlier events must be read."""
        if row.owners == Owners.CROWD:
            _add_users(self.game, row, namings, self.known)
            return True
        if row.owners == Owners.SEVERAL:
            return all(_is_known(naming, runs) for naming in namings)
        persons_named = {naming.person_id for naming in namings} | ({row.person_id} if row.is_named else set())
        if len(persons_named) > 1:
            return False
        first_at = min(naming.first_at for naming in namings)
        if not row.is_named:
            self.changes.set_owners(row, Owners.ONE, namings[0].person_id, first_at)
        elif row.named_at is None or first_at < row.named_at:
            row.named_at = first_at
            self.changes.rows[row.pk] = row
        return True

    def _shared_ids_of_merged(self) -> dict[int, KnownId]:
        """Return, after merges, the ids whose several owners are one player now, and crowds' ids with few players."""
        if not self.merged:
            return {}
        shared = Identity.objects.filter(
            game=self.game,
            owners__in=(Owners.SEVERAL, Owners.CROWD),
            ownerships__user__person__in=set(self.merged.values()),
        )
        players = Count("ownerships__user__person", distinct=True)
        counted = Identity.objects.filter(pk__in=shared.values("pk")).annotate(players=players)
        few = Q(owners=Owners.SEVERAL, players=1) | Q(owners=Owners.CROWD, players__lte=MAX_OWNERS)
        known = ownership.known_ids(self.game, list(counted.filter(few).values_list("namespace", "value")))
        self.known |= known
        return {row.pk: row for row in known.values()}

    def _rebuild(
        self, ids: Iterable[KnownId], runs: Mapping[int, Sequence[OwnershipRun]], unaliased: Container[IdentityKey]
    ) -> None:
        """Decide from all events that name these ids with a user."""
        by_namespace: dict[str, list[KnownId]] = defaultdict(list)
        for row in ids:
            by_namespace[row.key[0]].append(row)
        for namespace, group in by_namespace.items():
            stored = _stored([row for row in group if row.key not in unaliased], runs)
            runs_by_id = read_runs(self.game, namespace, group, stored)
            for row in group:
                self._set_runs(row, runs_by_id.get(row.pk, []))

    def _set_runs(self, row: KnownId, runs: list[OwnershipRun]) -> None:
        players = {run.person_id for run in runs}
        is_crowd = len(players) > MAX_OWNERS or _change_too_often(runs)
        if is_crowd and row.owners == Owners.CROWD:
            return
        self.changes.runs[row.pk] = runs if len(players) > 1 else []
        if not runs:
            self.changes.set_owners(row, Owners.NONE, None, None)
        elif len(players) == 1:
            self.changes.set_owners(row, Owners.ONE, runs[0].person_id, runs[0].first_at)
        elif not is_crowd:
            self.changes.set_owners(row, Owners.SEVERAL, runs[-1].person_id, runs[-1].first_at)
        else:
            self.changes.runs[row.pk] = list({run.user: run for run in runs}.values())
            person_id = uuid.uuid4()
            persons.create(self.game, {person_id: row.first_seen_at})
            self.changes.set_owners(row, Owners.CROWD, person_id, None)


def _new_id(first_seen_at: datetime, namings: Sequence[Naming]) -> NewId:
    """Return the identity of a new id: its owner is known at once if these namings name one player only."""
    if len({naming.person_id for naming in namings}) != 1:
        return NewId(first_seen_at)
    return NewId(first_seen_at, namings[0].person_id, Owners.ONE, min(naming.first_at for naming in namings))


def _change_too_often(runs: Sequence[OwnershipRun]) -> bool:
    """Whether these runs of one id, in order of time, are too many to tell whose its events are."""
    in_period = zip(runs, runs[MAX_RUNS:], strict=False)
    return len(runs) > MAX_ALL_RUNS or any(last.first_at - first.first_at <= RUNS_PERIOD for first, last in in_period)


def _is_known(naming: Naming, runs: Sequence[OwnershipRun]) -> bool:
    """Whether events of an id with several owners change nothing: they name the latest owner, or are inside a run."""
    if runs[-1].person_id == naming.person_id and runs[-1].first_at < naming.first_at:
        return True
    return any(run.person_id == naming.person_id and run.covers(naming.first_at, naming.last_at) for run in runs)


def _add_users(game: Game, row: KnownId, namings: Iterable[Naming], known: Mapping[IdentityKey, KnownId]) -> None:
    """Add new users to a crowd's id."""
    first = {known[naming.user].pk: naming for naming in namings}
    users = Ownership.objects.filter(identity_id=row.pk, user_id__in=list(first), source=OwnershipSource.EVENT)
    stored = set(users.values_list("user_id", flat=True))
    Ownership.objects.bulk_create(
        Ownership(game=game, identity_id=row.pk, user_id=user, first_at=naming.first_at, last_at=naming.last_at)
        for user, naming in first.items()
        if user not in stored
    )


def _stored(ids: Iterable[KnownId], runs: Mapping[int, Sequence[OwnershipRun]]) -> Iterator[dict[str, Any]]:
    """Yield stored namings, whose events may be deleted by now."""
    single = [row for row in ids if row.owners == Owners.ONE and row.named_at]
    users = Identity.objects.exclude(namespace__in=WEAK).filter(person__in={row.person_id for row in single})
    first_user = dict(users.order_by("person", "-first_seen_at", "-pk").values_list("person", "pk"))
    for row in single:
        if row.person_id in first_user:
            yield {"id": row.pk, "named": first_user[row.person_id], "at": row.named_at}
    for row in ids:
        for run in runs.get(row.pk, ()):
            yield {"id": row.pk, "named": run.user, "at": run.first_at}
            yield {"id": row.pk, "named": run.user, "at": run.last_at}
