"""Percentiles of network latencies from a histogram, whose counts can be added up over minutes and configs.

The SQL function postbacks_latency_bucket (migration counts_by_the_minute) assigns attempts to these buckets.
"""

from collections.abc import Mapping

# Upper bounds of the buckets in milliseconds. Calls time out after 10 s (postbacks/http/network_calls.py).
BOUNDS = (
    5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 100, 125, 150, 175, 200, 250, 300, 350, 400, 500, 600, 750, 1000, 1250, 1500,
    2000, 2500, 3000, 4000, 5000, 6000, 7500, 10000, 15000,
)  # fmt: skip
UNANSWERED = -1  # the bucket of calls without an answer


def percentile(buckets: Mapping[int, int], share: float) -> int | None:
    """Return the milliseconds, one of BOUNDS, within which `share` (0 to 1) of the answers arrived, or None."""
    answered = {bucket: number for bucket, number in buckets.items() if bucket != UNANSWERED}
    target, total = share * sum(answered.values()), 0
    for bucket, number in sorted(answered.items()):
        total += number
        if number and total >= target:
            return BOUNDS[min(bucket, len(BOUNDS) - 1)]
    return None
