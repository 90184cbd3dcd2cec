"""Counts of what a sandbox network received, in bounded memory."""

from collections import Counter, OrderedDict, deque
from datetime import UTC, datetime
from typing import Any

# Event ids that are remembered to recognise repeats; the oldest are dropped.
MAX_IDS = 200_000
WINDOW_SECONDS = 1.0


class NetworkTally:
    """One network's counts since the start or the last `DELETE /sandbox/requests`. Not thread-safe.

    `peak_per_second` is the highest number of requests within any second, whatever the answers. `distinct` counts pixel
    and id; `taken_twice` counts an id that was accepted again, under another event name or after 48 hours.
    """

    def __init__(self) -> None:
        self.requests = self.tests = self.accepted = self.duplicates = self.distinct = self.taken_twice = 0
        self.peak = 0
        self.statuses: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.first: float | None = None
        self.last: float | None = None
        self._window: deque[float] = deque()
        self._ids: OrderedDict[tuple[str, str], None] = OrderedDict()

    def count_request(self, at: float) -> None:
        """Count a request received at `at`, in Unix seconds, not before the previous one."""
        self.requests += 1
        self.first = at if self.first is None else self.first
        self.last = at
        self._window.append(at)
        while at - self._window[0] >= WINDOW_SECONDS:
            self._window.popleft()
        self.peak = max(self.peak, len(self._window))

    def count_answer(self, *, status: int | None, code: str, test: bool, fault: str | None) -> None:
        """Count an answer: `status` is None without one, `code` is the network's own code."""
        self.statuses[str(status or "none")] += 1
        self.tests += test
        if code:
            self.codes[code] += 1
        if fault:
            self.faults[fault] += 1

    def count_event(self, pixel: str, event_id: str, *, duplicate: bool) -> None:
        """Count an accepted event, new or recognised as a duplicate."""
        if duplicate:
            self.duplicates += 1
            return
        self.accepted += 1
        if (pixel, event_id) in self._ids:
            self.taken_twice += 1
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
            "ids_accepted_twice": self.taken_twice,
            "peak_per_second": self.peak,
            "first_received_at": _iso(self.first),
            "last_received_at": _iso(self.last),
        }


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
