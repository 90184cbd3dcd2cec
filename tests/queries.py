"""Counts queries, to compare few rows with many. The number itself is not tested."""

from collections.abc import Callable

from django.db import connection
from django.test.utils import CaptureQueriesContext


def queries_of(work: Callable[[], object]) -> int:
    """Return the number of queries that `work` makes on the test's connection."""
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)
