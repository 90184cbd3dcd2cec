"""The clock of all processes: the database's.

Leases, retries and deadlines are written by one process and read by another: with the wrong clock of a machine, rows
would be sent early or late. Each process measures the difference of its clock to the database's when it starts and four
times a minute (config/heartbeat.py), a worker also at the start of each task, and applies it from then on.
"""

from datetime import datetime, timedelta

import structlog
from django.db import connection
from django.utils import timezone

logger = structlog.get_logger(__name__)

# Smaller differences are ignored as round-trip time and normal inaccuracy.
TOLERANCE = timedelta(seconds=2)

_difference = timedelta()


def now() -> datetime:
    """Return the time of the database's clock, computed with the difference last measured."""
    return timezone.now() + _difference


def synchronise() -> None:
    """Measure the difference to the database (one round trip); log `clock_skew` when it changes."""
    global _difference
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        database: datetime = cursor.fetchone()[0]
    after = timezone.now()
    if after - before > TOLERANCE:
        return  # too slow to measure by; the next task or heartbeat measures again
    measured = database - after
    difference = measured if abs(measured) > TOLERANCE else timedelta()
    if abs(difference - _difference) > TOLERANCE:
        logger.warning("clock_skew", seconds_behind_database=round(difference.total_seconds()))
        _difference = difference
