"""Random histories of a few players, told in the Immutable dialect, and the orders in which they may arrive."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from hypothesis import strategies as st

from audience.digest import queue
from audience.games.keys import create_key
from audience.intake.dialects import immutable
from audience.intake.storing.accept import accept
from audience.models import ApiKey, Dialect, Game
from consent.decisions import record_decision
from consent.models import Level
from postbacks.models import ConfigVersion
from tests import factories

LIBRARY = {"library": "history", "libraryVersion": "1.0.0"}
BROWSERS, USERS = ("b1", "b2", "b3"), ("u1", "u2", "u3")
# Shorter than the histories, so that clicks fall out of it.
WINDOW_DAYS = 3
# On Reddit: which purchase is a player's first is another thing that the order of arrival must not decide.
FIRST_PURCHASE = [{"event": "purchase", "sent_as": "", "once": True, "condition": None}]

browsers, users = st.sampled_from(BROWSERS), st.sampled_from(USERS)
players = st.one_of(
    st.fixed_dictionaries({"anonymousId": browsers}),
    st.fixed_dictionaries({"userId": users}),
    st.fixed_dictionaries({"anonymousId": browsers, "userId": users}),
)
# What a step is, before it has its time and its message id. Reddit takes no event of a week ago, hence ten days of
# hours; whole ones, so that many things happen at the same moment.
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


def _page(who: dict[str, str], query: str) -> dict[str, Any]:
    return {"type": "page", **who, "context": {"pageUrl": f"https://game.example/?{query}"}}


def _identify(user: str, browser: str, email: str) -> dict[str, Any]:
    fields = {"type": "identify", "userId": user, "traits": {"email": email} if email else {}}
    return fields | ({"anonymousId": browser} if browser else {})


def _alias(ends: tuple[str, str]) -> dict[str, Any]:
    return {"type": "alias", "fromId": ends[0], "toId": ends[1]}


def _launch(who: dict[str, str], test: bool) -> dict[str, Any]:
    return {"type": "track", "eventName": "game_launch", **who, "test": test}


def _purchase(who: dict[str, str], level: str, own_id: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {"value": 9.99, "currency": "USD"}
    if own_id:
        properties |= {"_imtbl_conversion_id": "pixel-id", "_imtbl_conversion_network": "tiktok"}
    fields = {"type": "track", "eventName": "purchase", **who, "properties": properties}
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
    st.builds(_purchase, players, levels, seldom),
    st.builds(_consent, browsers, st.sampled_from(("none", "anonymous", "full"))),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Positions in the history (one told twice comes twice), and after which of them a batch ends (1) or is digested
    at once (2)."""

    order: Sequence[int]
    ends: Sequence[int]


@dataclass(frozen=True, slots=True)
class History:
    """`steps` as they happened, the oldest first, and two orders in which they may come in."""

    steps: list[tuple[int, dict[str, Any]]]
    arrivals: tuple[Arrival, Arrival]

    def in_order(self) -> Arrival:
        return Arrival(range(len(self.steps)), [2] * len(self.steps))


@st.composite
def histories(draw: st.DrawFn) -> History:
    told = draw(st.lists(st.tuples(hours, steps), min_size=3, max_size=12))
    told.sort(key=lambda step: -step[0])
    copies = draw(st.lists(st.integers(0, len(told) - 1), max_size=3))
    return History(told, (draw(_arrivals(len(told), copies)), draw(_arrivals(len(told), copies))))


def _arrivals(count: int, copies: list[int]) -> st.SearchStrategy[Arrival]:
    order = st.permutations([*range(count), *copies])
    ends = st.lists(st.integers(0, 2), min_size=count + len(copies), max_size=count + len(copies))
    return st.builds(Arrival, order, ends)


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


def tell(history: History, arrival: Arrival, *, game: Game, now: datetime) -> Iterator[None]:
    """Send the history to `game` in the order of `arrival`; yields after each digest, the last being the end."""
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
            _send(key, batch)
            batch = []
        if end == 2:
            queue.drain()
            yield
    _send(key, batch)
    queue.drain()
    yield


def _decide(game: Game, step: dict[str, Any], at: datetime) -> None:
    record_decision(
        game_id=game.pk, anonymous_id=step["anonymousId"], level=Level(step["level"]), source="banner", decided_at=at
    )


def _message(step: dict[str, Any], position: int, at: datetime) -> dict[str, Any]:
    context = {**LIBRARY, "ip": f"203.0.113.{position}", **step.get("context", {})}
    return {**step, "messageId": message_id(position), "eventTimestamp": at.isoformat(), "context": context}


def message_id(position: int) -> str:
    return str(uuid.UUID(int=position + 1))


def _send(key: ApiKey, told: list[dict[str, Any]]) -> None:
    """As config/demo_history.py does: what the view does between reading and answering."""
    if not told:
        return
    now = timezone.now()
    messages, rejected = immutable.parse(told, now=now)
    assert {error.code for refusal in rejected for error in refusal.errors} <= {"DUPLICATE_MESSAGE_ID"}
    accept(key=key, dialect=Dialect.IMMUTABLE, messages=messages, rejected=rejected, received_at=now)


def a_moment() -> datetime:
    """The `now` of one history."""
    return datetime.now(UTC).replace(microsecond=0)
