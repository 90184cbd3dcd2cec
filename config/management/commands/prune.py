"""`manage.py prune`: prune now and completely, as the beat does in steps every ten minutes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat

from audience.storage import prune as audience_prune
from postbacks.delivery import prune as postbacks_prune

UNLIMITED = float("inf")


class Command(BaseCommand):
    help = "Delete the rows whose retention period is over."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="print what would be deleted, and delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run = options["dry_run"]
        pruned = audience_prune.prune(dry_run=dry_run, seconds=UNLIMITED)
        pruned += postbacks_prune.prune(dry_run=dry_run, seconds=UNLIMITED)
        for item in pruned:
            partition = f"partition {item.partition}, about " if item.partition else ""
            self.stdout.write(f"{item.what}: {partition}{_rows(item.rows)}, {_size(item.bytes)}")
        partitions = sum(bool(item.partition) for item in pruned)
        total = f"{_rows(sum(item.rows for item in pruned))}, {partitions} partition{'' if partitions == 1 else 's'}"
        verb = "Would delete" if dry_run else "Deleted"
        self.stdout.write(f"{verb} {total}, {_size(sum(item.bytes for item in pruned))}.")


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    return filesizeformat(count).replace("\xa0", " ")
