"""Creates partitions ahead, periodically, so that no insert waits for one."""

from datetime import date, timedelta

from django.db import OperationalError

from audience.background import isolation
from audience.database import clock
from audience.models import Queue
from audience.storage import partitions
from audience.storage.partitions import PartitionedTable


def create_ahead(days: int | None = None) -> list[str]:
    """Create the missing partitions from today to `days` ahead (by default the table's `days_ahead`); return their
    names. Safe to run concurrently. Failing partitions are isolated.
    """
    today = clock.now().date()
    needed: list[tuple[PartitionedTable, date]] = []
    for table in partitions.TABLES:
        ahead = (today + timedelta(days=offset) for offset in range((table.days_ahead if days is None else days) + 1))
        needed += [(table, start) for start in sorted({table.start(day) for day in ahead})]
    created = isolation.process_each(
        Queue.PARTITION,
        needed,
        lambda partition: _create(*partition),
        failure_key=lambda partition: isolation.FailureKey(partition[0].name(partition[1]), None),
    )
    return [name for name in created if name]


def _create(table: PartitionedTable, start: date) -> str:
    """Create a partition and return its name; '' if it exists."""
    try:
        return table.name(start) if partitions.create_partition(table, start) else ""
    except OperationalError as error:
        if partitions.is_lock_timeout(error):
            raise isolation.RetryLater from error
        raise
