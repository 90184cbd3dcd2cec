"""Which ids an event names: strong ones, which name its player, and weak ones, which name a browser or device."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from audience.ids.values import PLACEHOLDER_IDS as PLACEHOLDER_IDS
from audience.ids.values import canonical
from audience.models.people import ANONYMOUS, DEVICE, USER, WEAK

IdentityKey = tuple[str, str]


class EventIds(NamedTuple):
    """The ids of an event in their canonical form, without placeholders.

    `strong`: the ids that the event joins explicitly; the first one names its player. `weak`: its anonymous and device
    id. `aliased`: weak ids that an alias assigns to the player. `previous`: the previous id of an alias that
    does not state its type; '' for none. It is a user id if any event names it as one, else an anonymous id.
    """

    strong: list[IdentityKey]
    weak: list[IdentityKey]
    aliased: list[IdentityKey]
    previous: str


def event_ids(anonymous_id: str, user_id: str, device_id: str, links: Iterable[Sequence[str]]) -> EventIds:
    anonymous_id, user_id, device_id = map(canonical, (anonymous_id, user_id, device_id))
    links_by_key = [(str(namespace), canonical(str(value))) for namespace, value in links if is_id(str(value))]
    # An alias without types links its previous id both as an anonymous and as a user id.
    previous = next((value for name, value in links_by_key if name == ANONYMOUS and (USER, value) in links_by_key), "")
    strong = [(USER, user_id)] if is_id(user_id) else []
    strong += [key for key in links_by_key if key[0] not in WEAK and key != (USER, previous)]
    # An alias has its previous id in the column too.
    linked = {value for _, value in links_by_key}
    weak = [(ANONYMOUS, anonymous_id)] if is_id(anonymous_id) and anonymous_id not in linked else []
    weak += [(DEVICE, device_id)] if is_id(device_id) else []
    aliased = [key for key in links_by_key if key[0] in WEAK and key[1] != previous]
    return EventIds(list(dict.fromkeys(strong)), weak, aliased, previous)


def weak_keys(anonymous_id: str, device_id: str) -> list[IdentityKey]:
    """Return the keys of the usable ones of these ids, in canonical form."""
    keys = [(ANONYMOUS, anonymous_id), (DEVICE, device_id)]
    return [(namespace, canonical(value)) for namespace, value in keys if is_id(value)]


def is_id(value: str) -> bool:
    """Whether it is neither empty nor a placeholder."""
    return bool(value) and value.lower() not in PLACEHOLDER_IDS
