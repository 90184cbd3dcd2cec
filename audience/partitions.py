"""The days of the Event table: made ahead, so that no insert ever waits for one."""

from datetime import UTC, date, datetime, timedelta

import structlog
from django.db import connection, transaction

logger = structlog.get_logger(__name__)

# A beat that is away for a week still finds its partitions there; past that the default partition takes the events.
DAYS_AHEAD = 7


def make_ahead() -> list[date]:
    """Create the missing partitions from today to DAYS_AHEAD; the days made. Safe to run twice at once."""
    today = datetime.now(UTC).date()
    days = [today + timedelta(days=offset) for offset in range(DAYS_AHEAD + 1)]
    return [day for day in days if make(day)]


def make(day: date) -> bool:
    """Create one day's partition, moving in what the default partition already holds of it; False if it exists."""
    name = f"audience_event_{day:%Y%m%d}"
    with transaction.atomic(), connection.cursor() as cursor:
        # Two beats at once: the second waits here, then finds the table.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audience_event partitions'))")
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return False
        cursor.execute(f"CREATE TABLE {name} (LIKE audience_event INCLUDING DEFAULTS)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM audience_event_default WHERE day = %s RETURNING *) "
            f"INSERT INTO {name} SELECT * FROM moved",
            [day],
        )
        moved = cursor.rowcount
        cursor.execute(
            f"ALTER TABLE audience_event ATTACH PARTITION {name} "
            f"FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
        )
    logger.info("partition_made", partition=name, moved=moved)
    return True
