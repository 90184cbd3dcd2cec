"""Counts the queries of a piece of work, to compare few rows with many: the number itself is nobody's contract."""

from collections.abc import Callable

from django.db import connection
from django.test.utils import CaptureQueriesContext


def queries_of(work: Callable[[], object]) -> int:
    """How many queries `work` makes on the test's connection."""
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)
