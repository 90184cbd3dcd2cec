"""Which ids a person has, when it owned the shared ones, and which events are its own (ownership.py)."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet
from django.db.models.functions import Lower
from django.db.models.lookups import In

from audience.digest import ownership
from audience.digest.event_ids import PLACEHOLDER_IDS, IdentityKey, event_ids
from audience.digest.ownership import Run
from audience.models import Event, Game, Identity, Kind, Owners, OwnershipSource, Person
from audience.models.people import ANONYMOUS, DEVICE, USER, WEAK

# Of weak ids that were named with a user.
NAMED = (Owners.ONE, Owners.SEVERAL, Owners.CROWD)
NAMES_NO_USER = Q(user_id="") | Q(In(Lower(F("user_id")), sorted(PLACEHOLDER_IDS)))


class Period(NamedTuple):
    """From `since` on and before `until`; None for no bound."""

    since: datetime | None
    until: datetime | None


ALWAYS = Period(None, None)


@dataclass(frozen=True, slots=True)
class OwnedId:
    """An id of a person, with the periods in which it is this person's, and how many other players own it at others.

    `named_at` is when a weak id was first named with this person. A crowd's id is owned by the person without a name
    that its events make up; its users have no period, nor has an id whose events all have another id that tells.
    """

    identity: Identity
    periods: tuple[Period, ...]
    named_at: datetime | None = None
    others: int = 0

    @property
    def key(self) -> IdentityKey:
        return self.identity.namespace, self.identity.value

    @property
    def forms(self) -> list[str]:
        """All forms in which it was sent."""
        return [self.identity.value, *self.identity.spellings]

    @property
    def is_shared(self) -> bool:
        return self.identity.owners in (Owners.SEVERAL, Owners.CROWD)

    @property
    def is_own(self) -> bool:
        """Whether it tells of this person alone."""
        return ALWAYS in self.periods

    @property
    def is_crowd(self) -> bool:
        return self.identity.owners == Owners.CROWD

    def at(self, column: str) -> Q:
        """Return the condition that the time in `column` is in one of the periods."""
        condition = Q()
        for since, until in self.periods:
            bounds = {f"{column}__gte": since, f"{column}__lt": until}
            condition |= Q(**{name: bound for name, bound in bounds.items() if bound is not None})
        return Q() if ALWAYS in self.periods else condition


def owned_ids(person: Person, *, limit: int | None = None) -> list[OwnedId]:
    """Return the ids of a person, also those that it shares, the one seen first first. `limit` is how many at most."""
    shared = Identity.objects.filter(ownerships__user__person=person, ownerships__source=OwnershipSource.EVENT)
    found = {row.pk: row for row in person.identities.order_by("first_seen_at", "pk")[:limit]}
    found |= {row.pk: row for row in shared.order_by("first_seen_at", "pk").distinct()[:limit]}
    rows = sorted(found.values(), key=lambda row: (row.first_seen_at, row.pk))[:limit]
    runs = ownership.runs(row.pk for row in rows if row.owners == Owners.SEVERAL)
    return [_owned(person, row, runs.get(row.pk, [])) for row in rows]


def _owned(person: Person, row: Identity, runs: Sequence[Run]) -> OwnedId:
    if row.owners == Owners.SEVERAL:
        others = {run.person_id for run in runs} - {person.pk}
        named_at = next((run.first_at for run in runs if run.person_id == person.pk), None)
        return OwnedId(row, tuple(_periods(person, runs)), named_at, len(others))
    owns = row.person_id == person.pk and row.owners != Owners.OTHER
    return OwnedId(row, (ALWAYS,) if owns else (), row.named_at)


def _periods(person: Person, runs: Sequence[Run]) -> Iterator[Period]:
    """Yield the periods of a person, which end where those of others begin. The first run has no beginning."""
    since: datetime | None = None
    for place, run in enumerate(runs):
        following = runs[place + 1] if place + 1 < len(runs) else None
        if following is not None and following.person_id == run.person_id:
            continue
        until = following.first_at if following else None
        if run.person_id == person.pk and (since is None or since != until):
            yield Period(since, until)
        since = until


def events_of(game_id: int, ids: Iterable[OwnedId]) -> QuerySet[Event]:
    """Return the events of the person with these ids.

    They name one of its user ids, or no user and a weak id that the person owned at their time: the anonymous id, or
    the device id if the anonymous id was never named with a user.
    """
    rows = list(ids)
    grouped: dict[tuple[str, bool, tuple[Period, ...]], list[OwnedId]] = defaultdict(list)
    for one in rows:
        if one.key[0] in WEAK and one.periods:
            grouped[one.key[0], one.identity.owners in NAMED, one.periods].append(one)
    condition = Q(user_id__in=[form for one in rows if one.key[0] == USER for form in one.forms])
    for (namespace, is_named, _), those in grouped.items():
        told = Q(**{f"{namespace}_id__in": [form for one in those for form in one.forms]}) & those[0].at("event_at")
        if namespace == DEVICE:
            # A registration does not tell by its device, unless it has nothing else.
            told &= (~Q(kind=Kind.DEVICE) | Q(anonymous_id="")) & ~_is_named(game_id, ANONYMOUS)
        elif not is_named:
            told &= Q(kind=Kind.DEVICE) | ~_is_named(game_id, DEVICE)
        condition |= NAMES_NO_USER & told
    return Event.objects.filter(Q(game_id=game_id) & condition)


def _is_named(game_id: int, namespace: str) -> Q:
    """Return the condition that an event's id of this namespace was ever named with a user."""
    value = Func(OuterRef(f"{namespace}_id"), function="audience_canonical_id")
    known = Identity.objects.filter(game=game_id, namespace=namespace, value=value)
    return Q(Exists(known.filter(owners__in=NAMED)))


def player_of(event: Event) -> uuid.UUID | None:
    """Return whose an event is as of now; None before the digest, or without a usable id."""
    game = Game(pk=event.game_id)
    ids = event_ids(
        event.anonymous_id, event.user_id, event.device_id if event.kind != Kind.DEVICE else "", event.links
    )
    strong = ownership.known_ids(game, [*ids.strong, (USER, ids.previous)])
    weak = {ANONYMOUS: ids.previous, **dict(ids.weak)}
    named = next((strong[key].person_id for key in [*ids.strong, (USER, ids.previous)] if key in strong), None)
    told = ownership.load(game, weak.items()).player(weak[ANONYMOUS], weak.get(DEVICE, ""), event.event_at)
    return named or told
