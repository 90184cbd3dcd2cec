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
from postbacks.sandbox.tally import Tally

REQUESTS_KEPT = 50_000
EVENTS_KEPT = 200_000
DEDUPLICATION_SECONDS = 48 * 60 * 60  # after the first of the same id


@dataclass(frozen=True, slots=True)
class Received:
    """A request and its answer; `status` is None if a fault left it unanswered. `received_at` is before any configured
    latency.
    """

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
        at = datetime.fromtimestamp(self.received_at, UTC).isoformat(timespec="milliseconds")
        return asdict(self) | {"body": decode(self.body), "received_at": at}


class State:
    """All state of a running sandbox; thread-safe."""

    def __init__(self, imitations: Mapping[str, Imitation], *, clock: Callable[[], float] = time.time) -> None:
        self.imitations, self.clock = imitations, clock
        self._calls: dict[str, tuple[int, int]] = {}  # network -> (second, calls in it)
        self._lock = threading.Lock()
        self._received: deque[Received] = deque(maxlen=REQUESTS_KEPT)
        self._events: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._tallies = {network: Tally() for network in imitations}
        self._faults: dict[str, deque[str]] = defaultdict(deque)
        self._accounts = {network: each.accounts.by_credential() for network, each in imitations.items()}
        self._delay: dict[str, float] = {}

    def arrive(self, network: str) -> float:
        """Count a request that has just arrived; return the time in Unix seconds."""
        with self._lock:
            now = self.clock()
            self._tallies[network].arrived(now)
            return now

    def keep(self, received: Received, *, code: str = "") -> None:
        """Store a request with its answer; `code` is the network's own code for the outcome."""
        # Every request repeats the same long token; one copy of it is enough.
        for name, value in received.headers.items():
            received.headers[name] = sys.intern(value)
        with self._lock:
            self._received.append(received)
            tally = self._tallies[received.network]
            tally.answered(status=received.status, code=code, test=received.test, fault=received.fault)

    def requests(self, network: str | None = None) -> list[Received]:
        with self._lock:
            return [entry for entry in self._received if network in (None, entry.network)]

    def forget(self, network: str | None = None) -> None:
        """Delete received requests, and with them what counts as a duplicate."""
        with self._lock:
            kept = [entry for entry in self._received if network not in (None, entry.network)]
            self._received.clear()
            self._received.extend(kept)
            for key in [key for key in self._events if network in (None, key[0])]:
                del self._events[key]
            self._tallies |= {name: Tally() for name in self._tallies if network in (None, name)}

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return the counts per network, of everything received."""
        with self._lock:
            return {network: tally.as_json() for network, tally in self._tallies.items()}

    def seen(self, network: str, events: tuple[tuple[str, ...], ...]) -> bool:
        """Record accepted events (pixel first, event id last); return which were accepted within 48 h before."""
        now, repeated = self.clock(), False
        with self._lock:
            for event in events:
                key = (network, *event)
                first = self._events.get(key)
                duplicate = first is not None and now - first < DEDUPLICATION_SECONDS
                self._tallies[network].took(event[0], event[-1], duplicate=duplicate)
                if duplicate:
                    repeated = True
                    continue
                self._events[key] = now
                self._events.move_to_end(key)
                if len(self._events) > EVENTS_KEPT:
                    self._events.popitem(last=False)
        return repeated

    def add_fault(self, network: str, fault: str, times: int) -> None:
        with self._lock:
            self._faults[network].extend([fault] * times)

    def next_fault(self, network: str) -> str | None:
        with self._lock:
            return self._faults[network].popleft() if self._faults[network] else None

    def faults(self) -> dict[str, list[str]]:
        """Return pending faults per network, the next first."""
        with self._lock:
            return {network: list(waiting) for network, waiting in self._faults.items() if waiting}

    def clear_faults(self) -> None:
        with self._lock:
            self._faults.clear()

    def over_quota(self, network: str) -> bool:
        """Count a call; return whether the network's calls of this second are used up."""
        second, quota = int(self.clock()), self.imitations[network].quota
        with self._lock:
            last, calls = self._calls.get(network, (second, 0))
            self._calls[network] = second, calls + 1 if last == second else 1
            return quota is not None and self._calls[network][1] > quota

    def accounts(self, network: str) -> dict[str, frozenset[str]]:
        """Return {credential: pixels} without revoked ones."""
        return self._accounts[network]

    def revoke(self, network: str, credential: str, *, revoked: bool) -> None:
        with self._lock:
            known = dict(self._accounts[network])
            known.pop(credential, None)
            if not revoked:
                known[credential] = self.imitations[network].accounts.by_credential()[credential]
            self._accounts[network] = known

    def set_delay(self, network: str, seconds: float) -> None:
        with self._lock:
            self._delay[network] = seconds

    def delay(self, network: str) -> float:
        with self._lock:
            return self._delay.get(network, 0.0)
