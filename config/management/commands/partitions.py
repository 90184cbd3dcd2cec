"""`manage.py partitions`: list the partitions, and create those of coming days."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from audience.storage import partitions, partitions_ahead, prune

LINE = "{:<26} {:<31} {:>13} {:>10}  {}"


class Command(BaseCommand):
    help = "List each partition with its range, rows (an estimate), size, and whether anything in it is still kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--ahead", type=int, metavar="N", help="first create those of today and of the next N days")

    def handle(self, *args: Any, **options: Any) -> None:
        ahead = options["ahead"]
        if ahead is not None:
            if not 0 <= ahead <= 366:
                raise CommandError("--ahead counts days, from 0 to 366.")
            created = partitions_ahead.create_ahead(ahead)
            self.stdout.write(f"Created {', '.join(created)}." if created else "All partitions already exist.")
        expired = prune.expired_partitions(timezone.now())
        self.stdout.write(LINE.format("partition", "days (UTC)", "rows", "size", "kept"))
        for table in partitions.TABLES:
            for part in partitions.list_partitions(table):
                kept = "no longer" if part.name in expired else "yes"
                self.stdout.write(LINE.format(part.name, _range(part.start, part.end), _rows(part), _size(part), kept))


def _range(start: date | None, end: date | None) -> str:
    return f"{start} to before {end}" if start and end else "all other days"


def _rows(part: partitions.Partition) -> str:
    return "unknown" if part.rows is None else f"{part.rows:,}"


def _size(part: partitions.Partition) -> str:
    return filesizeformat(part.bytes).replace("\xa0", " ")
