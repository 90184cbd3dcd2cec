"""One clock for all processes: the database's.

Receipts, leases, retries and deadlines are written by one process and read by another, and a machine whose clock is an
hour off must neither send early nor sit on its rows, nor have events come in an hour ago. Each process measures its
difference to the database when it starts and four times a minute (config/pulse.py), a worker also when it takes up a
task, and counts by it from then on.
"""

from datetime import datetime, timedelta

import structlog
from django.db import connection
from django.utils import timezone

logger = structlog.get_logger(__name__)

# Smaller differences are the round trip, and two clocks that are as right as clocks are.
TOLERANCE = timedelta(seconds=2)

_difference = timedelta()


def now() -> datetime:
    """The time by the database's clock, as far as this process has measured it."""
    return timezone.now() + _difference


def synchronise() -> None:
    """Measure this process's difference to the database (one round trip), and log it when it changes."""
    global _difference  # a fact about the process
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        database: datetime = cursor.fetchone()[0]
    after = timezone.now()
    if after - before > TOLERANCE:
        return  # a stall, not a difference; the next task measures again
    measured = database - after
    found = measured if abs(measured) > TOLERANCE else timedelta()
    if abs(found - _difference) > TOLERANCE:
        logger.warning("clock_skew", seconds_behind_database=round(found.total_seconds()))
        _difference = found
