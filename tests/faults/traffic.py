"""The load: threads that send the requests of one player after another and retry until acknowledged, as SDKs do."""

import itertools
import random
import threading
import time
from collections import Counter
from datetime import datetime
from typing import Any

import urllib3

from tests.faults.players import Message, Player
from tests.faults.players import player as new_player
from tests.journeys.product import Product

# Share of requests that are repeated after their acknowledgement, as by a client whose response was lost.
REPEATED = 0.05
PAUSE = 0.3  # seconds between two attempts


class Traffic:
    """After `stop()`, `played` has the players all of whose messages were acknowledged."""

    def __init__(self, product: Product, *, now: datetime, rate: float, seed: int = 0, threads: int = 8) -> None:
        """`rate` is the maximum number of new players a second."""
        self.played: list[Player] = []
        self.acknowledged: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._product, self._now, self._rate, self._seed = product, now, rate, seed
        self._numbers, self._lock, self._ending = itertools.count(), threading.Lock(), threading.Event()
        self._http = urllib3.PoolManager(maxsize=threads, retries=False, timeout=10)
        self._threads = [threading.Thread(target=self._play, daemon=True) for _ in range(threads)]

    def start(self) -> None:
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Start no new player; returns once every request in flight is acknowledged."""
        self._ending.set()
        for thread in self._threads:
            thread.join(timeout=120)
            assert not thread.is_alive(), "a request was not acknowledged within two minutes"

    @property
    def events(self) -> int:
        return len(self.acknowledged)

    def _play(self) -> None:
        try:
            while not self._ending.is_set():
                with self._lock:
                    number = next(self._numbers)
                if self._ending.wait(max(0.0, self._started + number / self._rate - time.monotonic())):
                    return
                self._send_all(new_player(number, now=self._now, seed=self._seed))
        except AssertionError as error:
            self.problems.append(str(error))

    def _send_all(self, player: Player) -> None:
        for request in player.requests:
            self._send(request)
            if random.random() < REPEATED:
                self.counts["repeated"] += 1
                self._send(request)
        if player.erased:
            self._until(202, "DELETE", f"/v1/audience/data?userId={player.user_id}", "x-immutable-api-key", "secret")
        with self._lock:
            self.played.append(player)

    def _send(self, messages: list[Message]) -> None:
        answer = self._until(
            200,
            "POST",
            "/v1/audience/messages",
            "x-immutable-publishable-key",
            "publishable",
            json={"messages": messages},
        )
        assert answer.json()["accepted"] == len(messages), f"refused: {answer.data!r}"
        with self._lock:
            self.acknowledged.update(message["messageId"] for message in messages)

    def _until(self, expected: int, method: str, path: str, header: str, key: str, **body: Any) -> Any:
        """Repeat the request until its status is `expected`; fail on a status that must not be retried."""
        headers = {header: self._product.demo[f"{key}_key"]}
        while True:
            try:
                answer = self._http.request(method, f"{self._product.url}{path}", headers=headers, **body)
            except urllib3.exceptions.HTTPError:
                self.counts["unanswered"] += 1
            else:
                self.counts["requests"] += 1
                if answer.status == expected:
                    return answer
                assert answer.status in {429, 500, 502, 503}, f"{answer.status} {answer.data!r}"
                self.counts[f"answered {answer.status}"] += 1
            time.sleep(PAUSE)
