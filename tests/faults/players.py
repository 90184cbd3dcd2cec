"""Simulated players: the messages each sends, and the conversions and deliveries expected of them."""

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from postbacks.networks import NETWORKS
from postbacks.networks.interface.facts import Facts
from postbacks.networks.interface.imitation import imitation_of
from postbacks.networks.interface.network import Network

# With an address of the internet: Snapchat matches nobody by a click id alone.
CONTEXT = {
    "library": "faults",
    "libraryVersion": "1.0.0",
    "userAgent": "Mozilla/5.0 (player)",
    "ip": "203.0.113.24",
}


def _parameter(network: Network) -> str:
    """Return the click parameter of the network, or else the one that the demo game's postback names."""
    named = network.click_parameters_of(imitation_of(network).accounts.stored_credential())
    return network.click_param or next(iter(named), "")


PARAMETERS = {kind: parameter for kind, network in NETWORKS.items() if (parameter := _parameter(network))}
TRIGGERS = ("game_launch", "purchase")
NOW = datetime(2025, 1, 3, tzinfo=UTC)
# How old a click must be before the network accepts its conversions.
CLICK_AGES = {
    kind: (network.not_before(Facts(trigger="purchase", event_id="1", event_at=NOW, clicked_at=NOW)) or NOW) - NOW
    for kind, network in NETWORKS.items()
}
# The age of a day without a partition, whose events go to the default one. Within both networks' age limits.
OLD = timedelta(days=4)

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Player:
    """`requests` are in the order of sending; `network` is '' for a player without an ad click."""

    user_id: str
    network: str
    requests: list[list[Message]]
    erased: bool = False

    @property
    def messages(self) -> list[Message]:
        return [message for request in self.requests for message in request]

    def ids(self, *names: str) -> list[str]:
        """Return the ids of the messages with one of the event names; of all messages without names."""
        return [m["messageId"] for m in self.messages if not names or m.get("eventName") in names]


def player(number: int, *, now: datetime, seed: int = 0, erased: bool | None = None) -> Player:
    """Return the player with this number: about eight events, two or three of them launches and purchases.

    One in ten has no ad click, one in five sends in random order, one in six plays around a midnight (the last, the
    next) or on a day without a partition, one in a hundred requests erasure after the last event.
    """
    chance = random.Random(f"{seed} {number}")
    shares = [90 / len(PARAMETERS)] * len(PARAMETERS)
    network = chance.choices((*PARAMETERS, ""), (*shares, 10))[0]
    erased = chance.random() < 0.01 if erased is None else erased
    times = _times(chance, now, recent=erased)
    times[0] -= CLICK_AGES.get(network, timedelta())
    messages = _messages(f"traffic-{seed}-{number}", network, chance, times)
    if not erased and chance.random() < 0.2:
        chance.shuffle(messages)
    return Player(f"traffic-{seed}-{number}", network, list(_requests(messages, chance)), erased)


def _times(chance: random.Random, now: datetime, *, recent: bool) -> list[datetime]:
    """Return nine times, the first for the click."""
    today = datetime.combine(now.date(), time(), UTC)
    when = "recent" if recent else chance.choices(("recent", "midnight", "tomorrow", "old"), (84, 8, 4, 4))[0]
    if when == "recent":
        start, step = now - timedelta(minutes=chance.uniform(60, 180)), timedelta(minutes=5)
    elif when == "midnight":
        start, step = today - timedelta(seconds=2.5), timedelta(seconds=1)
    elif when == "tomorrow":
        start, step = now - timedelta(minutes=5), timedelta()
    else:
        start, step = now - OLD, timedelta(seconds=1)
    times = [start + number * step for number in range(9)]
    # As with a client clock that is half a day ahead: the messages after the click are dated tomorrow.
    return [times[0], *[today + timedelta(days=1)] * 8] if when == "tomorrow" else times


def _messages(user_id: str, network: str, chance: random.Random, times: list[datetime]) -> list[Message]:
    anonymous_id = f"{user_id}-browser"
    query = f"?{PARAMETERS[network]}={_click_id(network, chance)}" if network else ""
    page = {"context": {**CONTEXT, "pageUrl": f"https://game.example/landing{query}"}, "anonymousId": anonymous_id}
    identify = {"userId": user_id, "anonymousId": anonymous_id, "traits": {"email": f"{user_id}@players.example"}}
    money = {"value": round(chance.uniform(1, 90), 2), "currency": "USD"}
    messages: list[Message] = [
        {"type": "page", **page},
        {"type": "identify", **identify},
        {"type": "track", "eventName": "game_launch"},
        {"type": "track", "eventName": "progression", "properties": {"level": 1}},
        {"type": "track", "eventName": "purchase", "properties": money},
        {"type": "track", "eventName": "progression", "properties": {"level": 2}},
        {"type": "track", "eventName": "purchase", "properties": {**money, "value": 0.99}},
        {"type": "screen", "eventName": "shop"},
    ]
    if chance.random() < 0.1:
        messages.append({"type": "track", "eventName": "game_launch"})
    return [
        {
            "messageId": str(uuid.UUID(int=chance.getrandbits(128))),
            "eventTimestamp": at.isoformat(),
            "context": CONTEXT,
            **({} if "anonymousId" in message else {"userId": user_id}),
            **message,
        }
        for message, at in zip(messages, times, strict=False)
    ]


def _click_id(network: str, chance: random.Random) -> str:
    return f"{'E.C.P.' if network == 'tiktok' else ''}{chance.getrandbits(64):x}"


def _requests(messages: list[Message], chance: random.Random) -> Any:
    """Yield the messages of each request: one to four, as an SDK sends them."""
    rest = list(messages)
    while rest:
        size = chance.randint(1, 4)
        yield rest[:size]
        rest = rest[size:]


def buyer(number: int, network: str, *, prefix: str, value: float = 1.0) -> Message:
    """Return a purchase with a click id: one event, one conversion, one delivery."""
    return {
        "type": "track",
        "eventName": "purchase",
        "userId": f"{prefix}-{number}",
        "properties": {PARAMETERS[network]: f"click-{prefix}-{number}", "value": value, "currency": "USD"},
    }
