"""Which ids an event names, and which values are placeholders."""

from collections.abc import Iterable, Sequence

from audience.models import Event, Kind
from audience.models.people import ANONYMOUS, DEVICE, USER

IdentityKey = tuple[str, str]

# Values that SDKs send when they have no id. Joining players by these would merge all of them.
PLACEHOLDER_IDS = frozenset(
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


def identity_keys_of(event: Event) -> list[IdentityKey]:
    """Return every (namespace, value) that the event names, without placeholders."""
    # A device registration names the present owner; earlier owners are other players.
    device_id = event.device_id if event.kind != Kind.DEVICE else ""
    return identity_keys(event.anonymous_id, event.user_id, device_id, event.links)


def identity_keys(anonymous_id: str, user_id: str, device_id: str, links: Iterable[Sequence[str]]) -> list[IdentityKey]:
    """Return these ids as (namespace, value), without empty values and placeholders."""
    named = [(ANONYMOUS, anonymous_id), (USER, user_id), (DEVICE, device_id)]
    named += [(namespace, value) for namespace, value in links]
    return [(namespace, value) for namespace, value in named if value and value.lower() not in PLACEHOLDER_IDS]
