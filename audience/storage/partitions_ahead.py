"""Creates partitions ahead, from the beat, so that no insert waits for one."""

from datetime import date, timedelta

from django.db import OperationalError

from audience.background import isolation
from audience.database import clock
from audience.models import Queue
from audience.storage import partitions
from audience.storage.partitions import PartitionedTable


def make_ahead(days: int | None = None) -> list[str]:
    """Create the missing partitions from today to `days` ahead; return their names. Safe to run concurrently.

    Failing partitions are isolated.
    """
    today = clock.now().date()
    wanted: list[tuple[PartitionedTable, date]] = []
    for of in partitions.TABLES:
        ahead = (today + timedelta(days=offset) for offset in range((of.days_ahead if days is None else days) + 1))
        wanted += [(of, start) for start in sorted({of.start(day) for day in ahead})]
    made = isolation.process_each(
        Queue.PARTITION,
        wanted,
        lambda one: _made(*one),
        row_of=lambda one: isolation.FailureKey(one[0].name(one[1]), None),
    )
    return [name for name in made if name]


def _made(of: PartitionedTable, start: date) -> str:
    """Create a partition and return its name; '' if it exists."""
    try:
        return of.name(start) if partitions.create_partition(of, start) else ""
    except OperationalError as error:
        if partitions.is_busy(error):
            raise isolation.NotNow from error
        raise
