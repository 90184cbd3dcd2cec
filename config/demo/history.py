"""Sends a few days of history to the demo game, in the Immutable dialect."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any
from uuid import UUID, uuid5

from django.utils import timezone

from audience.intake.dialects import immutable
from audience.intake.storing.accept import accept
from audience.models import ApiKey, Dialect
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network

NAMESPACE = UUID("6f1c2f0e-3a52-4d9b-9d0b-6a3c1d1f0a77")
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
STEP = timedelta(minutes=7)

# Name, query of the landing page, hours ago, payments and their currency. {click} is a click ID and {source} a
# utm_source of one of NETWORKS, each in turn.
PLAYERS: list[tuple[str, str, float, list[str], str]] = [
    ("ada", "{click}", 97, ["9.99", "4.99"], "USD"),
    ("björn", "{click}", 80.5, ["19.99"], "EUR"),
    ("chen", "utm_source=newsletter&utm_medium=email", 75, ["2.99"], "USD"),
    ("dora", "{click}&utm_campaign=autumn", 61, [], "USD"),
    ("emeka", "gclid=demo-emeka-5521", 52, ["9.99"], "USD"),
    ("farah", "{click}", 44, ["49.99"], "USD"),
    ("goran", "", 39, ["4.99"], "EUR"),
    ("hana", "{click}", 30, [], "JPY"),
    ("ines", "{source}&utm_medium=cpc&utm_campaign=autumn", 26, ["9.99"], "EUR"),
    ("jonas", "{click}", 20, ["1.99", "9.99", "9.99"], "USD"),
    ("kaya", "{click}", 9, ["14.99"], "USD"),
    ("liam", "", 5, [], "USD"),
    ("mina", "{click}", 2, ["4.99"], "USD"),
]


def send_history(*, key: ApiKey) -> None:
    """Send the history with `key`, one request per player, and one request that is refused."""
    now = timezone.now()
    networks = cycle(network for network in NETWORKS.values() if network.click_params and network.utm_sources)
    for name, query, hours_ago, payments, currency in PLAYERS:
        if "{" in query:
            query = _fill_in(query, name, next(networks))
        _send(key, list(_journey(name, query, now - timedelta(hours=hours_ago), payments, currency)), now)
    invalid = {"type": "track", "messageId": "42", "eventName": "purchase", "properties": {"value": 4.99}}
    _send(key, [invalid], now)


def _fill_in(query: str, name: str, network: Network) -> str:
    click = f"{network.click_param}=demo-{uuid5(NAMESPACE, name).hex[:12]}"
    return query.format(click=click, source=f"utm_source={network.utm_sources[0]}")


def _send(key: ApiKey, body: list[dict[str, Any]], now: datetime) -> None:
    messages, rejected = immutable.parse(body, now=now)
    accept(key=key, dialect=Dialect.IMMUTABLE, messages=messages, rejected=rejected, received_at=now)


def _journey(name: str, query: str, start: datetime, payments: list[str], currency: str) -> Iterator[dict[str, Any]]:
    """Return a player's messages: landing page, sign-up, first launch, payments and a second launch."""
    browser, player = f"anon-{name}", f"player-{name}"
    url = f"https://starfall.example/{'?' + query if query else ''}"
    context = {"pageUrl": url, "pagePath": "/", "pageTitle": "Starfall", "userAgent": AGENT, "ip": "203.0.113.24"}
    yield _message(name, "page", 0, start, anonymousId=browser, surface="pixel", context=context)
    traits = {"email": f"{name}@players.example", "name": name.title()}
    yield _message(name, "identify", 1, start, anonymousId=browser, userId=player, traits=traits)
    yield _message(name, "track", 2, start, userId=player, eventName="game_launch", properties={"platform": "windows"})
    for number, value in enumerate(payments):
        item = {"value": value, "currency": currency, "item_id": f"gems_{number + 1}", "item_name": "Bag of gems"}
        yield _message(name, "track", 3 + number, start, userId=player, eventName="purchase", properties=item)
    last = 3 + len(payments)
    yield _message(name, "track", last, start, userId=player, eventName="game_launch", properties={})


def _message(name: str, kind: str, step: int, start: datetime, **fields: Any) -> dict[str, Any]:
    context = {"library": "afterclick-demo", "libraryVersion": "1.0.0", **fields.pop("context", {})}
    return {
        "type": kind,
        "messageId": str(uuid5(NAMESPACE, f"{name} {step} {start.isoformat()}")),
        "eventTimestamp": (start + step * STEP).isoformat(),
        "surface": "unity",
        "context": context,
        **fields,
    }
