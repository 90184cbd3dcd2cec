"""A model of docs/identity.md: the player of each event, computed from a whole history without a database.

It is slow and simple on purpose: each event's player is looked up in the list of all events that name a weak id with a
user. Tests compare the digest with it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# (namespace, value)
Key = tuple[str, str]
Player = frozenset[Key]

ANONYMOUS, USER, DEVICE = "anonymous", "user", "device"
MAX_OWNERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event: ids are '' if absent or a placeholder. `at` is any sortable time.

    `alias` is (previous id, user id) of an alias that does not state the types. `explicit` are the strong ids of a
    merge, a typed identify or a typed alias.
    """

    at: float
    message_id: str
    user: str = ""
    anonymous: str = ""
    device: str = ""
    alias: tuple[str, str] | None = None
    explicit: tuple[Key, ...] = ()


class Naming(NamedTuple):
    """An event that names a weak id with a player. The tuples sort in order of time."""

    at: float
    message_id: str
    player: Player


class Sets:
    """Disjoint sets of ids."""

    def __init__(self) -> None:
        self._members: dict[Key, set[Key]] = {}

    def join(self, keys: Iterable[Key]) -> None:
        joined: set[Key] = set()
        for key in keys:
            joined |= self._members.get(key, {key})
        for key in joined:
            self._members[key] = joined

    def of(self, key: Key) -> Player:
        return frozenset(self._members[key])


class Oracle:
    """The players of one history. A weak id that was named with more than `max_owners` players has no owner."""

    def __init__(self, history: Sequence[Message], *, max_owners: int = MAX_OWNERS) -> None:
        self.history = history
        self.max_owners = max_owners
        self.user_ids = {message.user for message in history} | {m.alias[1] for m in history if m.alias}
        self.user_ids |= {value for m in history for namespace, value in m.explicit if namespace == USER}
        self.strong = self._join_strong()
        self.namings = self._find_namings()
        self.unnamed = self._join_unnamed()

    def players(self) -> list[Player]:
        """Return the player of each message.

        A named player is the set of its strong ids, an unnamed one the set of its weak ids. The player of an event
        without any id is the event alone.
        """
        return [self._player(message) for message in self.history]

    def named_players(self) -> set[Player]:
        return {self.strong.of(self._strong_ids(message)[0]) for message in self.history if self._strong_ids(message)}

    def crowds(self) -> set[Player]:
        """Return the unnamed players of the weak ids that too many players use."""
        return {frozenset({weak}) for weak in self.namings if self._is_crowd(weak)}

    def _strong_ids(self, message: Message) -> list[Key]:
        keys = [(USER, message.user)] if message.user else []
        if message.alias:
            previous, user = message.alias
            keys.append((USER, user))
            keys += [(USER, previous)] if previous in self.user_ids else []
        return keys + list(message.explicit)

    def _weak_ids(self, message: Message) -> list[Key]:
        """Return the weak ids of a message in order of precedence."""
        keys = [(ANONYMOUS, message.anonymous)] if message.anonymous else []
        if message.alias and message.alias[0] not in self.user_ids:
            keys.append((ANONYMOUS, message.alias[0]))
        return keys + ([(DEVICE, message.device)] if message.device else [])

    def _join_strong(self) -> Sets:
        sets = Sets()
        for message in self.history:
            if message.alias or message.explicit:
                sets.join(self._strong_ids(message))
            elif message.user:
                sets.join([(USER, message.user)])
        return sets

    def _find_namings(self) -> dict[Key, list[Naming]]:
        """Return the namings of each weak id in order of time."""
        by_id: dict[Key, list[Naming]] = defaultdict(list)
        for message in self.history:
            if strong := self._strong_ids(message):
                for weak in self._weak_ids(message):
                    by_id[weak].append(Naming(message.at, message.message_id, self.strong.of(strong[0])))
        return {weak: sorted(namings, key=lambda naming: naming[:2]) for weak, namings in by_id.items()}

    def _join_unnamed(self) -> Sets:
        """Join weak ids that were never sent with a user ID and occur in one event without a named id."""
        sets = Sets()
        for message in self.history:
            weak = self._weak_ids(message)
            if weak and not self._strong_ids(message) and not any(key in self.namings for key in weak):
                sets.join(weak)
        return sets

    def _player(self, message: Message) -> Player:
        if strong := self._strong_ids(message):
            return self.strong.of(strong[0])
        weak = self._weak_ids(message)
        for key in weak:
            if key in self.namings:
                return self._owner(key, message.at)
        return self.unnamed.of(weak[0]) if weak else frozenset({("event", message.message_id)})

    def _owner(self, weak: Key, at: float) -> Player:
        namings = self.namings[weak]
        if self._is_crowd(weak):
            return frozenset({weak})
        earlier = [naming for naming in namings if naming.at <= at]
        return earlier[-1].player if earlier else namings[0].player

    def _is_crowd(self, weak: Key) -> bool:
        return len({naming.player for naming in self.namings[weak]}) > self.max_owners
