"""Counts the requests and events of an imitated network, in bounded memory."""

from collections import Counter, OrderedDict, deque
from datetime import UTC, datetime
from typing import Any

# Event ids stored to detect duplicates; the oldest are dropped.
MAX_IDS = 200_000
WINDOW_SECONDS = 1.0


class NetworkCounts:
    """The counts of one network since the start or the last `DELETE /sandbox/requests`. Not thread-safe.

    `peak` is the highest number of requests within one second, whatever the answers. `distinct` counts pairs of pixel
    and event id; `accepted_twice` counts ids that were accepted again, with another event name or after 48 hours.
    """

    def __init__(self) -> None:
        self.requests = self.tests = self.accepted = self.duplicates = self.distinct = self.accepted_twice = 0
        self.peak = 0
        self.statuses: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.first_at: float | None = None
        self.last_at: float | None = None
        self._window: deque[float] = deque()
        self._ids: OrderedDict[tuple[str, str], None] = OrderedDict()

    def count_request(self, received_at: float) -> None:
        """Count a request. `received_at` is in Unix seconds, and not before that of the previous request."""
        self.requests += 1
        self.first_at = received_at if self.first_at is None else self.first_at
        self.last_at = received_at
        self._window.append(received_at)
        while received_at - self._window[0] >= WINDOW_SECONDS:
            self._window.popleft()
        self.peak = max(self.peak, len(self._window))

    def count_answer(self, *, status: int | None, code: str, test: bool, fault: str | None) -> None:
        """Count an answer; `status` is None without one, `code` is the network's code."""
        self.statuses[str(status or "none")] += 1
        self.tests += test
        if code:
            self.codes[code] += 1
        if fault:
            self.faults[fault] += 1

    def count_event(self, pixel: str, event_id: str, *, duplicate: bool) -> None:
        """Count an accepted event, new or recognized as a duplicate."""
        if duplicate:
            self.duplicates += 1
            return
        self.accepted += 1
        if (pixel, event_id) in self._ids:
            self.accepted_twice += 1
            return
        self.distinct += 1
        self._ids[pixel, event_id] = None
        if len(self._ids) > MAX_IDS:
            self._ids.popitem(last=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "tests": self.tests,
            "by_status": dict(self.statuses),
            "by_code": dict(self.codes),
            "by_fault": dict(self.faults),
            "accepted_as_new": self.accepted,
            "duplicates": self.duplicates,
            "distinct_ids": self.distinct,
            "ids_accepted_twice": self.accepted_twice,
            "peak_per_second": self.peak,
            "first_received_at": _iso(self.first_at),
            "last_received_at": _iso(self.last_at),
        }


def _iso(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
