"""A steady load of purchases that carry their own click: one request, one conversion, one delivery each."""

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

# The clock of the sender, the one of the product and the network's are one here; a second keeps the click in the past.
EARLIER = timedelta(seconds=1)
# No rate limit but the one under test.
RATES = {network.rate_variable: "500" for network in NETWORKS.values()}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def dated(message: Message) -> Message:
    """The message as it is sent now."""
    at = (datetime.now(UTC) - EARLIER).isoformat()
    return {"messageId": str(uuid.uuid4()), "eventTimestamp": at, "context": CONTEXT, **message}


def post(product: Product, http: urllib3.PoolManager, messages: list[Message]) -> None:
    """One request, answered 200 with every message accepted. AssertionError otherwise."""
    key = {"x-immutable-publishable-key": product.demo["publishable_key"]}
    url = f"{product.url}/v1/audience/messages"
    answer = http.request("POST", url, json={"messages": messages}, headers=key)
    assert answer.status == 200, answer.data
    assert answer.json()["accepted"] == len(messages), answer.data


class Buyers:
    """`count` purchases at `rate` a second on `network`; `acknowledged` is user id -> the moment of the 200."""

    def __init__(self, product: Product, *, network: str, count: int, rate: float, prefix: str) -> None:
        self.prefix, self.count, self.rate = prefix, count, rate
        self.acknowledged: dict[str, float] = {}
        self.problems: list[str] = []
        self._product, self._network = product, network
        self._numbers = itertools.count()
        self._http = urllib3.PoolManager(maxsize=8, retries=False, timeout=20)
        self._began = time.monotonic()
        # One request at a time would let a slow answer slow the load down.
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
    """Buyers under a prefix of their own, so that two loads never share a player."""
    return Buyers(product, network=network, count=count, rate=rate, prefix=f"{prefix}-{uuid.uuid4().hex[:8]}")


def all_at_once(product: Product, *, network: str, count: int, prefix: str) -> str:
    """`count` purchases in full requests, as fast as they are taken; the prefix of their user ids."""
    own = f"{prefix}-{uuid.uuid4().hex[:8]}"
    http = urllib3.PoolManager(retries=False, timeout=30)
    for first in range(0, count, 100):
        last = min(first + 100, count)
        post(product, http, [dated(buyer(number, network, prefix=own)) for number in range(first, last)])
    return own


def waits_ms(product: Product, load: Buyers, network: str) -> list[float]:
    """Sorted milliseconds from the 200 for each purchase to the moment its request reached the network (first time)."""
    events = dict(
        product.rows(
            "SELECT d.event_id, c.user_id FROM postbacks_delivery d JOIN audience_conversion c "
            "ON c.id = d.conversion_id WHERE d.network = %s AND c.user_id LIKE %s",
            network,
            f"{load.prefix}-%",
        )
    )
    seen: dict[str, float] = {}
    for request in product.received(network):
        for event_id in event_ids(request):
            if event_id in events:
                at = datetime.fromisoformat(request["received_at"]).timestamp()
                seen[events[event_id]] = min(at, seen.get(events[event_id], at))
    assert seen.keys() == load.acknowledged.keys(), "a purchase did not reach the network"
    return sorted((at - load.acknowledged[user_id]) * 1000 for user_id, at in seen.items())


def event_ids(request: dict[str, Any]) -> list[str]:
    """The event ids of one request to the sandbox: the only UUIDs that these players' bodies hold."""
    return UUID.findall(json.dumps(request["body"]))


def share(sorted_values: list[float], part: float) -> float:
    """The value that `part` of them do not pass: 0.95 for the 95th percentile."""
    return round(sorted_values[min(int(len(sorted_values) * part), len(sorted_values) - 1)], 1)
