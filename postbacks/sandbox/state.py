"""The state of the sandbox: received requests, pending faults, revoked credentials. In memory and bounded."""

import sys
import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from postbacks.networks.interface.imitation import Imitation
from postbacks.sandbox.network_counts import NetworkCounts

MAX_REQUESTS = 50_000
MAX_EVENTS = 200_000
DEDUPLICATION_SECONDS = 48 * 60 * 60  # after the first event with an id


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request and its answer; `status` is None without one. `received_at` is in Unix seconds, before the latency."""

    network: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    test: bool
    received_at: float
    status: int | None
    response: Any
    duplicate: bool
    fault: str | None

    def as_json(self, decode: Callable[[bytes], Any]) -> dict[str, Any]:
        received_at = datetime.fromtimestamp(self.received_at, UTC).isoformat(timespec="milliseconds")
        return asdict(self) | {"body": decode(self.body), "received_at": received_at}


class SandboxState:
    """The state of a running sandbox. Every method may be called from any thread."""

    def __init__(self, imitations: Mapping[str, Imitation], *, clock: Callable[[], float] = time.time) -> None:
        self.imitations, self.clock = imitations, clock
        self._calls: dict[str, tuple[int, int]] = {}  # network -> (second, calls in it)
        self._lock = threading.Lock()
        self._received: deque[ReceivedRequest] = deque(maxlen=MAX_REQUESTS)
        self._events: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._counts = {network: NetworkCounts() for network in imitations}
        self._faults: dict[str, deque[str]] = defaultdict(deque)
        self._accounts = {name: imitation.accounts.by_credential() for name, imitation in imitations.items()}
        self._delay: dict[str, float] = {}

    def count_request(self, network: str) -> float:
        """Count a request and return the time of its receipt in Unix seconds."""
        with self._lock:
            now = self.clock()
            self._counts[network].count_request(now)
            return now

    def record(self, received: ReceivedRequest, *, code: str = "") -> None:
        """Record a request with its answer; `code` is the network's code for it."""
        # Requests repeat the same long token, which interning stores once.
        for name, value in received.headers.items():
            received.headers[name] = sys.intern(value)
        with self._lock:
            self._received.append(received)
            counts = self._counts[received.network]
            counts.count_answer(status=received.status, code=code, test=received.test, fault=received.fault)

    def requests(self, network: str | None = None) -> list[ReceivedRequest]:
        with self._lock:
            return [entry for entry in self._received if network in (None, entry.network)]

    def delete_requests(self, network: str | None = None) -> None:
        """Delete received requests, their counts and their events."""
        with self._lock:
            others = [entry for entry in self._received if network not in (None, entry.network)]
            self._received.clear()
            self._received.extend(others)
            for key in [key for key in self._events if network in (None, key[0])]:
                del self._events[key]
            self._counts |= {name: NetworkCounts() for name in self._counts if network in (None, name)}

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return the counts per network since the start or the last deletion."""
        with self._lock:
            return {network: counts.as_json() for network, counts in self._counts.items()}

    def record_events(self, network: str, events: tuple[tuple[str, ...], ...]) -> bool:
        """Record accepted events (pixel first, event id last); return whether one of them is a duplicate."""
        now, repeated = self.clock(), False
        with self._lock:
            for event in events:
                key = (network, *event)
                first_at = self._events.get(key)
                duplicate = first_at is not None and now - first_at < DEDUPLICATION_SECONDS
                self._counts[network].count_event(event[0], event[-1], duplicate=duplicate)
                if duplicate:
                    repeated = True
                    continue
                self._events[key] = now
                self._events.move_to_end(key)
                if len(self._events) > MAX_EVENTS:
                    self._events.popitem(last=False)
        return repeated

    def add_fault(self, network: str, fault: str, times: int) -> None:
        with self._lock:
            self._faults[network].extend([fault] * times)

    def next_fault(self, network: str) -> str | None:
        with self._lock:
            return self._faults[network].popleft() if self._faults[network] else None

    def faults(self) -> dict[str, list[str]]:
        """Return the pending faults per network, the next one first."""
        with self._lock:
            return {network: list(pending) for network, pending in self._faults.items() if pending}

    def clear_faults(self) -> None:
        with self._lock:
            self._faults.clear()

    def over_quota(self, network: str) -> bool:
        """Count one call; return whether it exceeds the network's quota per second."""
        second, quota = int(self.clock()), self.imitations[network].quota
        with self._lock:
            last, calls = self._calls.get(network, (second, 0))
            self._calls[network] = second, calls + 1 if last == second else 1
            return quota is not None and self._calls[network][1] > quota

    def accounts(self, network: str) -> dict[str, frozenset[str]]:
        """Return {credential: its pixels}, without revoked credentials."""
        return self._accounts[network]

    def revoke(self, network: str, credential: str, *, revoked: bool) -> None:
        with self._lock:
            accounts = dict(self._accounts[network])
            accounts.pop(credential, None)
            if not revoked:
                accounts[credential] = self.imitations[network].accounts.by_credential()[credential]
            self._accounts[network] = accounts

    def set_delay(self, network: str, seconds: float) -> None:
        with self._lock:
            self._delay[network] = seconds

    def delay(self, network: str) -> float:
        with self._lock:
            return self._delay.get(network, 0.0)
