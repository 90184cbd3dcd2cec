"""Which ids an event names, and which words are no id."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from audience.models import Kind
from audience.models.people import ANONYMOUS, DEVICE, USER

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


class Names(Protocol):
    """Whatever tells who an event is about: an Event, for one."""

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
    # A registration tells whose device it is now, not that all who ever had it are one.
    device_id = event.device_id if event.kind != Kind.DEVICE else ""
    return keys_named(event.anonymous_id, event.user_id, device_id, event.links)


def keys_named(anonymous_id: str, user_id: str, device_id: str, links: Iterable[Sequence[str]]) -> list[Key]:
    """These ids as (namespace, value), without the empty ones and the placeholders."""
    named = [(ANONYMOUS, anonymous_id), (USER, user_id), (DEVICE, device_id)]
    named += [(namespace, value) for namespace, value in links]
    return [(namespace, value) for namespace, value in named if value and value.lower() not in NOT_AN_ID]
