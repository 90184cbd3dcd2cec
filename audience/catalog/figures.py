"""Reads what a game sent in a period, from the counts of the digest (audience/digest/event_counts.py)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Max, QuerySet, Sum

from audience.database import clock
from audience.digest.event_shapes import paths_of
from audience.models import (
    ApiKey,
    Event,
    EventCount,
    Game,
    Kind,
    PropertyCount,
    PropertyType,
    SenderCount,
    ValueProblemCount,
)
from audience.models.event_counts import EMPTY, OTHER_KIND, OTHER_PATH

DELETED_KEY = "A deleted key"


class EventKey(NamedTuple):
    """Which event: the name of a track event, or another kind of message with the name ''."""

    kind: str
    name: str


def track(name: str) -> EventKey:
    return EventKey(Kind.TRACK.value, name)


@dataclass(frozen=True, slots=True)
class Period:
    """Days of receipt in UTC, both included. `test` selects test messages instead of those of players."""

    first: date
    last: date
    test: bool = False

    def of(self, model: type[Any], game: Game) -> QuerySet[Any]:
        """Return the rows of the game. The days are listed, so that PostgreSQL finds one event in its index."""
        days = [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]
        rows: QuerySet[Any] = model.objects.filter(game=game, day__in=days, test=self.test)
        return rows


def last_days(days: int, *, test: bool = False) -> Period:
    """Return today and the days before it."""
    today = clock.now().astimezone(UTC).date()
    return Period(today - timedelta(days=days - 1), today, test)


@dataclass(slots=True)
class PropertyFigures:
    """Events with a property: how many have a value of each type, and `empty` have null or ""."""

    path: str
    empty: int = 0
    types: dict[PropertyType, int] = field(default_factory=dict)

    @property
    def filled(self) -> int:
        return sum(self.types.values())

    def share_of(self, events: int) -> float:
        """Return which part of the events has the property with a value, from 0 to 1."""
        return min(1.0, self.filled / events) if events else 0.0


@dataclass(slots=True)
class EventFigures:
    """Events of one name. `has_further_properties`: some are not counted by themselves. `problems`: {ValueProblem or
    ValueProblemCount.NO_AMOUNT: events} of conversion events."""

    key: EventKey
    number: int = 0
    last_at: datetime | None = None
    properties: dict[str, PropertyFigures] = field(default_factory=dict)
    has_further_properties: bool = False
    problems: dict[str, int] = field(default_factory=dict)

    def add_property(self, path: str, of_type: str, number: int) -> None:
        """Add events with a property of a type, as PropertyCount has them."""
        if path == OTHER_PATH:
            self.has_further_properties = True
            return
        figures = self.properties.setdefault(path, PropertyFigures(path))
        if of_type == EMPTY:
            figures.empty += number
        else:
            kind = PropertyType(of_type)
            figures.types[kind] = figures.types.get(kind, 0) + number

    def filled(self, *paths: str) -> int:
        """Return how many events have the one of these properties that most have."""
        return max((self.properties[path].filled for path in paths if path in self.properties), default=0)


@dataclass(frozen=True, slots=True)
class Sender:
    """Events of one key and SDK. `key` is its name, '' for messages without one; `library` is '' if none is stated."""

    key: str
    library: str
    version: str
    number: int


def key_of(event: Event) -> EventKey:
    return EventKey(event.kind, event.name if event.kind == Kind.TRACK else "")


def of_event(event: Event) -> EventFigures:
    """Return the figures of a single event."""
    found = EventFigures(key_of(event), 1, event.received_at)
    for path, kind in paths_of(event.properties).items():
        found.add_property(path, kind, 1)
    return found


def read_all(*, game: Game, period: Period) -> dict[EventKey, EventFigures]:
    """Return what the game sent; events beyond the limits of the counts have the kind OTHER_KIND."""
    return _read(game, period, None)


def read_one(*, game: Game, key: EventKey, period: Period) -> EventFigures:
    """Return the figures of one event; those of none if it was not sent."""
    return _read(game, period, [key]).get(key, EventFigures(key))


def read_some(*, game: Game, keys: Iterable[EventKey], period: Period) -> dict[EventKey, EventFigures]:
    """Return the figures of these events; those that were not sent are left out."""
    return _read(game, period, list(keys))


def names(*, game: Game, period: Period) -> list[EventKey]:
    """Return the events that the game sent, without their figures."""
    return [EventKey(*row) for row in period.of(EventCount, game).values_list("kind", "name").distinct()]


def last_sent(*, game: Game, key: EventKey, test: bool = False) -> datetime | None:
    """Return when an event was last received, also before the longest period; None if that is not known any more."""
    rows = EventCount.objects.filter(game=game, kind=key.kind, name=key.name, test=test)
    latest: datetime | None = rows.aggregate(latest=Max("last_at"))["latest"]
    return latest


def senders(*, game: Game, key: EventKey, period: Period) -> list[Sender]:
    """Return who sent an event, the most frequent first."""
    rows = period.of(SenderCount, game).filter(kind=key.kind, name=key.name)
    groups = rows.values_list("key_id", "library", "library_version").annotate(total=Sum("number"))
    names: dict[int, str] = dict(ApiKey.objects.filter(game=game).values_list("pk", "name"))
    found = [
        Sender(names.get(key_id, DELETED_KEY) if key_id else "", library, version, total)
        for key_id, library, version, total in groups
    ]
    return sorted(found, key=lambda one: (-one.number, one.key, one.library, one.version))


def _read(game: Game, period: Period, keys: Sequence[EventKey] | None) -> dict[EventKey, EventFigures]:
    """Return the figures of these events, None for all."""
    names = None if keys is None else sorted({key.name for key in keys})
    kinds = None if keys is None else sorted({key.kind for key in keys})
    only = {} if keys is None else {"kind__in": kinds, "name__in": names}
    found: dict[EventKey, EventFigures] = {}
    events = period.of(EventCount, game).filter(**only).values_list("kind", "name")
    for kind, name, number, last_at in events.annotate(Sum("number"), Max("last_at")):
        found[EventKey(kind, name)] = EventFigures(EventKey(kind, name), number, last_at)
    paths = period.of(PropertyCount, game).filter(**only).values_list("kind", "name", "path", "type")
    for kind, name, path, of_type, number in paths.annotate(Sum("number")):
        if event := found.get(EventKey(kind, name)):
            event.add_property(path, of_type, number)
    problems = period.of(ValueProblemCount, game)
    _add_problems(found, problems if names is None else problems.filter(name__in=names))
    return found


def _add_problems(found: dict[EventKey, EventFigures], rows: QuerySet[Any]) -> None:
    for name, problem, number in rows.values_list("name", "problem").annotate(Sum("number")):
        if event := found.get(track(name)):
            event.problems[problem] = number


def others(found: Iterable[EventFigures]) -> int:
    """Return how many events have a name beyond the limit, or one that is not stored."""
    return sum(event.number for event in found if event.key.kind == OTHER_KIND)
