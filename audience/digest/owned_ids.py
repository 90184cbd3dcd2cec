"""The ids of a person, when the person owned the shared ones, and the events of the person (ownership.py)."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet
from django.db.models.functions import Lower
from django.db.models.lookups import In

from audience.digest import ownership, ownership_runs
from audience.digest.event_ids import PLACEHOLDER_IDS, IdentityKey, event_ids
from audience.digest.ownership_runs import OwnershipRun
from audience.models import Event, Game, Identity, Kind, Owners, OwnershipSource, Person
from audience.models.people import ANONYMOUS, DEVICE, USER, WEAK

# The `owners` of weak ids that were named with a user.
NAMED = (Owners.ONE, Owners.SEVERAL, Owners.CROWD)
NAMES_NO_USER = Q(user_id="") | Q(In(Lower(F("user_id")), sorted(PLACEHOLDER_IDS)))


class OwnedPeriod(NamedTuple):
    """The time from `since` until before `until`; None for no bound."""

    since: datetime | None
    until: datetime | None


NO_BOUNDS = OwnedPeriod(None, None)


@dataclass(frozen=True, slots=True)
class OwnedId:
    """An id of a person, the periods in which the person owns it, and how many other players own it at other times.

    `named_at` is when a weak id was first named with this person. A crowd's id is owned by a person without a user
    id; its users have no periods. An id whose events all get their player from another id has no periods either.
    """

    identity: Identity
    periods: tuple[OwnedPeriod, ...]
    named_at: datetime | None = None
    others: int = 0

    @property
    def key(self) -> IdentityKey:
        return self.identity.namespace, self.identity.value

    @property
    def spellings(self) -> list[str]:
        """The canonical form and all others in which it was sent."""
        return [self.identity.value, *self.identity.spellings]

    @property
    def is_shared(self) -> bool:
        return self.identity.owners in (Owners.SEVERAL, Owners.CROWD)

    @property
    def is_own(self) -> bool:
        """Whether it always belongs to this person."""
        return NO_BOUNDS in self.periods

    @property
    def is_crowd(self) -> bool:
        return self.identity.owners == Owners.CROWD

    def in_periods(self, column: str) -> Q:
        """Return the condition that the time in `column` is in one of the periods."""
        condition = Q()
        for since, until in self.periods:
            bounds = {f"{column}__gte": since, f"{column}__lt": until}
            condition |= Q(**{name: bound for name, bound in bounds.items() if bound is not None})
        return Q() if NO_BOUNDS in self.periods else condition


def owned_ids(person: Person, *, limit: int | None = None) -> list[OwnedId]:
    """Return the ids of a person, including shared ones, in the order of first_seen_at; at most `limit`."""
    shared = Identity.objects.filter(ownerships__user__person=person, ownerships__source=OwnershipSource.EVENT)
    rows_by_id = {row.pk: row for row in person.identities.order_by("first_seen_at", "pk")[:limit]}
    rows_by_id |= {row.pk: row for row in shared.order_by("first_seen_at", "pk").distinct()[:limit]}
    rows = sorted(rows_by_id.values(), key=lambda row: (row.first_seen_at, row.pk))[:limit]
    runs = ownership_runs.load(row.pk for row in rows if row.owners == Owners.SEVERAL)
    return [_owned(person, row, runs.get(row.pk, [])) for row in rows]


def _owned(person: Person, row: Identity, runs: Sequence[OwnershipRun]) -> OwnedId:
    if row.owners == Owners.SEVERAL:
        others = {run.person_id for run in runs} - {person.pk}
        named_at = next((run.first_at for run in runs if run.person_id == person.pk), None)
        return OwnedId(row, tuple(_periods(person, runs)), named_at, len(others))
    owns = row.person_id == person.pk and row.owners != Owners.OTHER
    return OwnedId(row, (NO_BOUNDS,) if owns else (), row.named_at)


def _periods(person: Person, runs: Sequence[OwnershipRun]) -> Iterator[OwnedPeriod]:
    """Yield the periods of a person, which end where those of others begin. The first period has no beginning."""
    since: datetime | None = None
    for index, run in enumerate(runs):
        following = runs[index + 1] if index + 1 < len(runs) else None
        if following is not None and following.person_id == run.person_id:
            continue
        until = following.first_at if following else None
        if run.person_id == person.pk and (since is None or since != until):
            yield OwnedPeriod(since, until)
        since = until


def events_of(game_id: int, ids: Iterable[OwnedId]) -> QuerySet[Event]:
    """Return the events of the person with these ids.

    They name one of its user ids, or no user and a weak id that the person owned at their time: the anonymous id, or
    the device id if the anonymous id was never named with a user.
    """
    rows = list(ids)
    grouped: dict[tuple[str, bool, tuple[OwnedPeriod, ...]], list[OwnedId]] = defaultdict(list)
    for owned in rows:
        if owned.key[0] in WEAK and owned.periods:
            grouped[owned.key[0], owned.identity.owners in NAMED, owned.periods].append(owned)
    condition = Q(user_id__in=[spelling for owned in rows if owned.key[0] == USER for spelling in owned.spellings])
    for (namespace, is_named, _), same_periods in grouped.items():
        condition_of_group = Q(
            **{f"{namespace}_id__in": [spelling for owned in same_periods for spelling in owned.spellings]}
        ) & same_periods[0].in_periods("event_at")
        if namespace == DEVICE:
            # The device id of a registration counts only if there is no anonymous id.
            condition_of_group &= (~Q(kind=Kind.DEVICE) | Q(anonymous_id="")) & ~_is_named(game_id, ANONYMOUS)
        elif not is_named:
            condition_of_group &= Q(kind=Kind.DEVICE) | ~_is_named(game_id, DEVICE)
        condition |= NAMES_NO_USER & condition_of_group
    return Event.objects.filter(Q(game_id=game_id) & condition)


def _is_named(game_id: int, namespace: str) -> Q:
    """Return the condition that an event's id of this namespace was ever named with a user."""
    value = Func(OuterRef(f"{namespace}_id"), function="audience_canonical_id")
    identities = Identity.objects.filter(game=game_id, namespace=namespace, value=value)
    return Q(Exists(identities.filter(owners__in=NAMED)))


def player_of(event: Event) -> uuid.UUID | None:
    """Return the current player of an event; None before the digest, or without a usable id."""
    game = Game(pk=event.game_id)
    ids = event_ids(
        event.anonymous_id, event.user_id, event.device_id if event.kind != Kind.DEVICE else "", event.links
    )
    strong = ownership.known_ids(game, [*ids.strong, (USER, ids.previous)])
    weak = list({ANONYMOUS: ids.previous, **dict(ids.weak)}.items())
    by_strong_ids = next((strong[key].person_id for key in [*ids.strong, (USER, ids.previous)] if key in strong), None)
    by_weak_ids = ownership.load(game, weak).player(weak, event.event_at)
    return by_strong_ids or by_weak_ids
