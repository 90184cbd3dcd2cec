"""The clock of all processes: the database's.

Leases, retries and deadlines are written by one process and read by another, so that a machine with a wrong clock would
send early or delay its rows. Each process measures its difference to the database when it starts and four times a
minute (config/heartbeat.py), a worker also at the start of a task, and applies it from then on.
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
    """Return the time of the database's clock, by the difference last measured."""
    return timezone.now() + _difference


def synchronise() -> None:
    """Measure the difference to the database (one round trip); log `clock_skew` when it changes."""
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
