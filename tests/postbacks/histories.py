"""Random histories of a few players in the Immutable dialect, and random orders of arrival."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from audience.digest import queue
from audience.games.keys import create_key
from audience.models import Game
from consent.decisions import record_decision
from consent.models import Level
from postbacks.models import ConfigVersion
from tests import factories
from tests.arrivals import Arrival, arrivals, message_id, store

LIBRARY = {"library": "history", "libraryVersion": "1.0.0"}
BROWSERS, USERS = ("b1", "b2", "b3"), ("u1", "u2", "u3")
# Shorter than the histories, so that some clicks are outside it.
WINDOW_DAYS = 3
# A goal of Reddit: which purchase is a player's first must not depend on the order of arrival.
FIRST_PURCHASE = [{"event": "purchase", "sent_as": "", "once": True, "condition": None}]

browsers, users = st.sampled_from(BROWSERS), st.sampled_from(USERS)
players = st.one_of(
    st.fixed_dictionaries({"anonymousId": browsers}),
    st.fixed_dictionaries({"userId": users}),
    st.fixed_dictionaries({"anonymousId": browsers, "userId": users}),
)
# Steps without time and message id. Ten days of hours, since Reddit accepts no event older than a week; whole hours, so
# that many events have the same time.
hours = st.one_of(st.integers(0, 12), st.integers(0, 240))
queries = st.sampled_from(
    (
        "ttclid=E.C.P.one",
        "ttclid=E.C.P.two",
        "rdt_cid=one",
        "rdt_cid=two",
        "gclid=one",
        "utm_source=reddit&utm_medium=cpc",
        "utm_source=newsletter",
    )
)
emails = st.sampled_from(("", "ada@players.example", "bob@players.example"))
levels = st.sampled_from(("", "none", "anonymous", "full"))


def _page(ids: dict[str, str], query: str) -> dict[str, Any]:
    return {"type": "page", **ids, "context": {"pageUrl": f"https://game.example/?{query}"}}


def _identify(user: str, browser: str, email: str) -> dict[str, Any]:
    fields = {"type": "identify", "userId": user, "traits": {"email": email} if email else {}}
    return fields | ({"anonymousId": browser} if browser else {})


def _alias(ends: tuple[str, str]) -> dict[str, Any]:
    return {"type": "alias", "fromId": ends[0], "toId": ends[1]}


def _launch(ids: dict[str, str], test: bool) -> dict[str, Any]:
    return {"type": "track", "eventName": "game_launch", **ids, "test": test}


def _purchase(ids: dict[str, str], level: str, has_pixel_id: bool, order_id: str) -> dict[str, Any]:
    properties: dict[str, Any] = {"value": 9.99, "currency": "USD", "order_id": order_id}
    if has_pixel_id:
        properties |= {"_imtbl_conversion_id": "pixel-id", "_imtbl_conversion_network": "tiktok"}
    fields = {"type": "track", "eventName": "purchase", **ids, "properties": properties}
    return fields | ({"consentLevel": level} if level else {})


def _consent(browser: str, level: str) -> dict[str, Any]:
    return {"type": "consent", "anonymousId": browser, "level": level}


seldom = st.sampled_from((False, False, False, True))
steps = st.one_of(
    st.builds(_page, players, queries),
    st.builds(_page, players, queries),
    st.builds(_identify, users, st.one_of(st.just(""), browsers), emails),
    st.builds(_alias, st.tuples(st.sampled_from(BROWSERS + USERS), users).filter(lambda ends: ends[0] != ends[1])),
    st.builds(_launch, players, seldom),
    st.builds(_launch, players, seldom),
    st.builds(_purchase, players, levels, seldom, st.sampled_from(("", "T-1", "T-2"))),
    st.builds(_consent, browsers, st.sampled_from(("none", "anonymous", "full"))),
)


@dataclass(frozen=True, slots=True)
class History:
    """`steps` as (age in hours, message), the oldest first, and two orders of arrival."""

    steps: list[tuple[int, dict[str, Any]]]
    arrivals: tuple[Arrival, Arrival]

    def in_order(self) -> Arrival:
        return Arrival(range(len(self.steps)), [2] * len(self.steps))


@st.composite
def histories(draw: st.DrawFn) -> History:
    happened = draw(st.lists(st.tuples(hours, steps), min_size=3, max_size=12))
    happened.sort(key=lambda step: -step[0])
    count = len(happened)
    retried = draw(st.lists(st.integers(0, count - 1), max_size=3))
    return History(happened, (draw(arrivals(count, retried)), draw(arrivals(count, retried))))


def new_game() -> Game:
    """A game with an enabled postback on each network."""
    game = factories.game(attribution_window_days=WINDOW_DAYS)
    for network in ("tiktok", "reddit"):
        row = factories.config(game, network=network, goals=FIRST_PURCHASE if network == "reddit" else [])
        ConfigVersion.objects.get_or_create(
            config=row,
            number=row.version,
            defaults={"pixel_id": row.pixel_id, "triggers": row.triggers, "enabled": True, "change": "Added"},
        )
    return game


def send(history: History, arrival: Arrival, *, game: Game, now: datetime) -> Iterator[None]:
    """Send the history to `game` in the order of `arrival`; yield after each digest, the last time at the end."""
    key = create_key(game=game, name="web").key
    batch: list[dict[str, Any]] = []
    for position, end in zip(arrival.order, arrival.ends, strict=True):
        age, step = history.steps[position]
        at = now - timedelta(hours=age, minutes=30)
        if step["type"] == "consent":
            _decide(game, step, at + timedelta(seconds=position))
        else:
            batch.append(_message(step, position, at))
        if end:
            store(key, batch)
            batch = []
        if end == 2:
            queue.drain()
            yield
    store(key, batch)
    queue.drain()
    yield


def _decide(game: Game, step: dict[str, Any], at: datetime) -> None:
    record_decision(
        game_id=game.pk, anonymous_id=step["anonymousId"], level=Level(step["level"]), source="banner", decided_at=at
    )


def _message(step: dict[str, Any], position: int, at: datetime) -> dict[str, Any]:
    context = {**LIBRARY, "ip": f"203.0.113.{position}", **step.get("context", {})}
    return {**step, "messageId": message_id(position), "eventTimestamp": at.isoformat(), "context": context}


def present_second() -> datetime:
    """Return the present time without microseconds, as `now` of a history."""
    return datetime.now(UTC).replace(microsecond=0)
