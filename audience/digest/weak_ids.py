"""Decides who owns the weak ids of a digest's events: nobody, one player, several at different times, or a crowd."""

import uuid
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from audience.digest import ownership, persons, spellings
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey
from audience.digest.namings import Naming, namings_of, read_runs, store_aliases
from audience.digest.ownership import MAX_ALL_RUNS, MAX_OWNERS, MAX_RUNS, RUNS_PERIOD, KnownId, Run
from audience.digest.persons import Merged
from audience.digest.strong_ids import Named
from audience.models import Game, Identity, Owners, Ownership, OwnershipSource
from audience.models.people import WEAK


@dataclass(slots=True)
class Changes:
    """What changed about the owners of weak ids.

    `rows`: the identities to write, by id. `runs`: of those with several owners, or a crowd's users. `affected`:
    identities that were known before and whose owner at some time is another now. `freed`: persons without a name that
    lost such an id, and its owner.
    """

    rows: dict[int, KnownId] = field(default_factory=dict)
    runs: dict[int, list[Run]] = field(default_factory=dict)
    affected: dict[int, KnownId] = field(default_factory=dict)
    freed: dict[uuid.UUID, uuid.UUID | None] = field(default_factory=dict)

    def write(self, game: Game) -> None:
        ownership.change(game, self.rows.values())
        ownership.store(game, self.runs)

    def set_owners(self, one: KnownId, owners: str, person_id: uuid.UUID | None, named_at: datetime | None) -> None:
        """Set the owners of an identity that had others before."""
        if one.owners in (Owners.NONE, Owners.CROWD) and owners != one.owners and one.person_id:
            self.freed[one.person_id] = person_id
        one.owners, one.person_id, one.named_at = owners, person_id, named_at
        self.rows[one.pk] = self.affected[one.pk] = one


class WeakIds:
    """The weak ids of a digest's groups of events. `known` are the identities; new ones are added, without an owner."""

    def __init__(self, game: Game, known: dict[IdentityKey, KnownId], merged: Merged) -> None:
        self.game, self.known, self.merged = game, known, merged
        self.changes = Changes()

    def decide(self, groups: Sequence[EventGroup], named: Named, undecided: Iterable[IdentityKey]) -> Changes:
        """Decide the owners of all weak ids of these groups, and of `undecided`, of which earlier events are read."""
        namings = list(namings_of(groups, named))
        self._add_new(groups, namings)
        spellings.record(self.game, groups)
        store_aliases(self.game, namings, self.known)
        self.known |= ownership.known_ids(self.game, named.unaliased)
        rebuild = {self.known[key].pk: self.known[key] for key in [*named.unaliased, *undecided]}
        rebuild |= self._shared_ids_of_merged()
        by_key: dict[IdentityKey, list[Naming]] = defaultdict(list)
        for naming in namings:
            by_key[naming.key].append(naming)
        several = [one for key in by_key if (one := self.known[key]).owners == Owners.SEVERAL]
        runs = ownership.runs(one.pk for one in several)
        for key, theirs in by_key.items():
            one = self.known[key]
            if one.pk not in rebuild and not self._decide_at_once(one, theirs, runs.get(one.pk, [])):
                rebuild[one.pk] = one
        self._rebuild(rebuild.values(), runs, named.unaliased)
        return self.changes

    def _add_new(self, groups: Sequence[EventGroup], namings: Sequence[Naming]) -> None:
        """Add the ids that are new; record that the others were seen earlier than known."""
        seen: dict[IdentityKey, datetime] = {}
        every = [(key, group.first_at) for group in groups for key in group.ids.weak]
        for key, at in [*every, *((naming.key, naming.first_at) for naming in namings)]:
            seen[key] = min(at, seen.get(key, at))
        for key, at in seen.items():
            if key in self.known and at < self.known[key].first_seen_at:
                self.known[key].first_seen_at = at
                self.changes.rows[self.known[key].pk] = self.known[key]
        self.known |= ownership.add(self.game, {key: (at, None) for key, at in seen.items() if key not in self.known})
        for one in self.known.values():
            one.person_id = self.merged.final(one.person_id) if one.person_id else None

    def _decide_at_once(self, one: KnownId, namings: Sequence[Naming], runs: list[Run]) -> bool:
        """Decide from these events alone; return False if earlier ones have to be read."""
        if one.owners == Owners.CROWD:
            _join_crowd(self.game, one, namings, self.known)
            return True
        if one.owners == Owners.SEVERAL:
            return all(_is_known(naming, runs) for naming in namings)
        persons_named = {naming.person_id for naming in namings} | ({one.person_id} if one.is_named else set())
        if len(persons_named) > 1:
            return False
        first_at = min(naming.first_at for naming in namings)
        if not one.is_named:
            self.changes.set_owners(one, Owners.ONE, namings[0].person_id, first_at)
        elif one.named_at is None or first_at < one.named_at:
            one.named_at = first_at
            self.changes.rows[one.pk] = one
        return True

    def _shared_ids_of_merged(self) -> dict[int, KnownId]:
        """Return the ids of several owners who are one player, and the crowds' ids of few enough, after a merge."""
        if not self.merged:
            return {}
        shared = Identity.objects.filter(
            game=self.game,
            owners__in=(Owners.SEVERAL, Owners.CROWD),
            ownerships__user__person__in=set(self.merged.values()),
        )
        counted = Identity.objects.filter(pk__in=shared.values("pk")).annotate(
            players=Count("ownerships__user__person", distinct=True)
        )
        few = Q(owners=Owners.SEVERAL, players=1) | Q(owners=Owners.CROWD, players__lte=MAX_OWNERS)
        keys = list(counted.filter(few).values_list("namespace", "value"))
        found = ownership.known_ids(self.game, keys)
        self.known |= found
        return {one.pk: one for one in found.values()}

    def _rebuild(
        self, ids: Iterable[KnownId], runs: Mapping[int, Sequence[Run]], unaliased: Container[IdentityKey]
    ) -> None:
        """Decide from all events that name these ids with a user."""
        by_namespace: dict[str, list[KnownId]] = defaultdict(list)
        for one in ids:
            by_namespace[one.key[0]].append(one)
        for namespace, theirs in by_namespace.items():
            found = read_runs(
                self.game, namespace, theirs, _stored([one for one in theirs if one.key not in unaliased], runs)
            )
            for one in theirs:
                self._set_runs(one, found.get(one.pk, []))

    def _set_runs(self, one: KnownId, runs: list[Run]) -> None:
        players = {run.person_id for run in runs}
        is_crowd = len(players) > MAX_OWNERS or _change_too_often(runs)
        if is_crowd and one.owners == Owners.CROWD:
            return
        self.changes.runs[one.pk] = runs if len(players) > 1 else []
        if not runs:
            self.changes.set_owners(one, Owners.NONE, None, None)
        elif len(players) == 1:
            self.changes.set_owners(one, Owners.ONE, runs[0].person_id, runs[0].first_at)
        elif not is_crowd:
            self.changes.set_owners(one, Owners.SEVERAL, runs[-1].person_id, runs[-1].first_at)
        else:
            self.changes.runs[one.pk] = list({run.user: run for run in runs}.values())
            person_id = uuid.uuid4()
            persons.make(self.game, {person_id: one.first_seen_at})
            self.changes.set_owners(one, Owners.CROWD, person_id, None)


def _change_too_often(runs: Sequence[Run]) -> bool:
    """Whether these runs of one id, in order of time, are too many to tell whose its events are."""
    in_period = zip(runs, runs[MAX_RUNS:], strict=False)
    return len(runs) > MAX_ALL_RUNS or any(last.first_at - first.first_at <= RUNS_PERIOD for first, last in in_period)


def _is_known(naming: Naming, runs: Sequence[Run]) -> bool:
    """Whether events of an id with several owners change nothing: its latest owner goes on, or they are in a run."""
    if runs[-1].person_id == naming.person_id and runs[-1].first_at < naming.first_at:
        return True
    return any(run.person_id == naming.person_id and run.covers(naming.first_at, naming.last_at) for run in runs)


def _join_crowd(game: Game, one: KnownId, namings: Iterable[Naming], known: Mapping[IdentityKey, KnownId]) -> None:
    """Add users to those of a crowd's id."""
    first = {known[naming.user].pk: naming for naming in namings}
    users = Ownership.objects.filter(identity_id=one.pk, user_id__in=list(first), source=OwnershipSource.EVENT)
    there = set(users.values_list("user_id", flat=True))
    Ownership.objects.bulk_create(
        Ownership(game=game, identity_id=one.pk, user_id=user, first_at=naming.first_at, last_at=naming.last_at)
        for user, naming in first.items()
        if user not in there
    )


def _stored(ids: Iterable[KnownId], runs: Mapping[int, Sequence[Run]]) -> Iterator[dict[str, Any]]:
    """Yield the namings that are known without their events, which may be deleted by now."""
    single = [one for one in ids if one.owners == Owners.ONE and one.named_at]
    users = Identity.objects.exclude(namespace__in=WEAK).filter(person__in={one.person_id for one in single})
    first_user = dict(users.order_by("person", "-first_seen_at", "-pk").values_list("person", "pk"))
    for one in single:
        if one.person_id in first_user:
            yield {"id": one.pk, "named": first_user[one.person_id], "at": one.named_at}
    for one in ids:
        for run in runs.get(one.pk, ()):
            yield {"id": one.pk, "named": run.user, "at": run.first_at}
            yield {"id": one.pk, "named": run.user, "at": run.last_at}
