"""A steady load of purchases with a click id each: one request, one conversion, one delivery."""

import itertools
import json
import re
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import urllib3

from postbacks.networks import NETWORKS
from tests.faults.players import CONTEXT, Message, buyer
from tests.journeys.product import Product

# Event times are a second in the past: sender, product and network share this machine's clock.
EVENT_AGE = timedelta(seconds=1)
# High enough for no limit but the one under test.
RATES = {network.rate_variable: "500" for network in NETWORKS.values()}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def dated(message: Message) -> Message:
    """Return the message with an id, the present time and a context."""
    at = (datetime.now(UTC) - EVENT_AGE).isoformat()
    return {"messageId": str(uuid.uuid4()), "eventTimestamp": at, "context": CONTEXT, **message}


def post(product: Product, http: urllib3.PoolManager, messages: list[Message]) -> None:
    """Send one request. Raises AssertionError unless every message was accepted."""
    key = {"x-immutable-publishable-key": product.demo["publishable_key"]}
    url = f"{product.url}/v1/audience/messages"
    answer = http.request("POST", url, json={"messages": messages}, headers=key)
    assert answer.status == 200, answer.data
    assert answer.json()["accepted"] == len(messages), answer.data


class Buyers:
    """`count` purchases at `rate` a second on `network`; `acknowledged` has the time of the answer 200 by user id."""

    def __init__(self, product: Product, *, network: str, count: int, rate: float, prefix: str) -> None:
        self.prefix, self.count, self.rate = prefix, count, rate
        self.acknowledged: dict[str, float] = {}
        self.problems: list[str] = []
        self._product, self._network = product, network
        self._numbers = itertools.count()
        self._http = urllib3.PoolManager(maxsize=8, retries=False, timeout=20)
        self._began = time.monotonic()
        # Several threads, so that a slow answer does not reduce the rate.
        self._threads = [threading.Thread(target=self._buy, daemon=True) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        for thread in self._threads:
            thread.join(timeout=self.count / self.rate + 60)
        assert self.problems == [], self.problems

    def _buy(self) -> None:
        try:
            while (number := next(self._numbers)) < self.count:
                time.sleep(max(0.0, self._began + number / self.rate - time.monotonic()))
                message = dated(buyer(number, self._network, prefix=self.prefix))
                post(self._product, self._http, [message])
                self.acknowledged[message["userId"]] = time.time()
        except (AssertionError, urllib3.exceptions.HTTPError) as error:
            self.problems.append(str(error))


def start(product: Product, *, network: str, count: int, rate: float, prefix: str) -> Buyers:
    """Start a load with a unique prefix, so that two loads never share a player."""
    return Buyers(product, network=network, count=count, rate=rate, prefix=f"{prefix}-{uuid.uuid4().hex[:8]}")


def all_at_once(product: Product, *, network: str, count: int, prefix: str) -> str:
    """Send `count` purchases in requests of 100, as fast as they are accepted; return the prefix of their user ids."""
    unique = f"{prefix}-{uuid.uuid4().hex[:8]}"
    http = urllib3.PoolManager(retries=False, timeout=30)
    for first in range(0, count, 100):
        last = min(first + 100, count)
        post(product, http, [dated(buyer(number, network, prefix=unique)) for number in range(first, last)])
    return unique


def waits_ms(product: Product, load: Buyers, network: str) -> list[float]:
    """Return, sorted, the milliseconds from the answer 200 to each purchase until the network first received it."""
    events = dict(
        product.rows(
            "SELECT d.event_id, c.user_id FROM postbacks_delivery d JOIN audience_conversion c "
            "ON c.id = d.conversion_id WHERE d.network = %s AND c.user_id LIKE %s",
            network,
            f"{load.prefix}-%",
        )
    )
    received: dict[str, float] = {}
    for request in product.received(network):
        for event_id in event_ids(request):
            if event_id in events:
                at = datetime.fromisoformat(request["received_at"]).timestamp()
                received[events[event_id]] = min(at, received.get(events[event_id], at))
    assert received.keys() == load.acknowledged.keys(), "a purchase did not reach the network"
    return sorted((at - load.acknowledged[user_id]) * 1000 for user_id, at in received.items())


def event_ids(request: dict[str, Any]) -> list[str]:
    """Return the event ids of one request to the sandbox: the bodies of these players have no other UUIDs."""
    return UUID.findall(json.dumps(request["body"]))


def percentile(sorted_values: list[float], share: float) -> float:
    """Return a percentile: `share` is 0.95 for the 95th."""
    return round(sorted_values[min(int(len(sorted_values) * share), len(sorted_values) - 1)], 1)
