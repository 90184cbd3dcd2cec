"""Which ids an event names, and the events of one digest run put together by the ids they name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from audience.digest.reading import Seen
from audience.intake.message import ANONYMOUS, DEVICE, USER
from audience.models import Kind

Key = tuple[str, str]

# What SDKs send when they have no id. Joining by these would make all players one.
NOT_AN_ID = frozenset(
    {
        "0",
        "00000000-0000-0000-0000-000000000000",
        "null",
        "undefined",
        "none",
        "nil",
        "nan",
        "unknown",
        "n/a",
        "na",
        "anonymous",
        "guest",
        "(null)",
        "[object object]",
        "-1",
    }
)


@dataclass(slots=True)
class Sighting:
    """The events that name just these ids, and between when; `active_at` is the last one of a player who played."""

    keys: Sequence[Key]
    first_at: datetime
    events: list[int] = field(default_factory=list)
    active_at: datetime | None = None


class Names(Protocol):
    """Whatever tells who an event is about: an Event, or a Seen."""

    @property
    def kind(self) -> str: ...
    @property
    def anonymous_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def device_id(self) -> str: ...
    @property
    def links(self) -> Iterable[Sequence[str]]: ...


def keys_of(event: Names) -> list[Key]:
    """Every (namespace, value) the event names, without the placeholders."""
    named = [(ANONYMOUS, event.anonymous_id), (USER, event.user_id)]
    # A registration tells whose device it is now, not that all who ever had it are one.
    named += [(DEVICE, event.device_id)] if event.kind != Kind.DEVICE else []
    named += [(namespace, value) for namespace, value in event.links]
    return [(namespace, value) for namespace, value in named if value and value.lower() not in NOT_AN_ID]


def sightings(events: Iterable[Seen]) -> list[Sighting]:
    """The events, which come in the order they happened, by the ids they name. One that names none stands alone."""
    found: dict[Any, Sighting] = {}
    for event in events:
        named = (event.anonymous_id, event.user_id, event.device_id, event.links_json, event.kind == Kind.DEVICE)
        sighting = found.get(named)
        if sighting is None:
            keys = keys_of(event)
            sighting = found[named if keys else event.pk] = Sighting(keys, event.event_at)
        sighting.events.append(event.pk)
        if event.is_active:
            sighting.active_at = event.event_at
    return list(found.values())
