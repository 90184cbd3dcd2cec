"""`manage.py prune`: prune now and completely, as the beat does in steps every ten minutes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat

from audience.storage import prune as audience_prune
from postbacks.delivery import prune as postbacks_prune

UNLIMITED = float("inf")


class Command(BaseCommand):
    help = "Delete what is kept for a while only, and what is older than a game keeps it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run = options["dry_run"]
        pruned = audience_prune.prune(dry_run=dry_run, seconds=UNLIMITED)
        pruned += postbacks_prune.prune(dry_run=dry_run, seconds=UNLIMITED)
        for one in pruned:
            how = f"partition {one.partition}, about " if one.partition else ""
            self.stdout.write(f"{one.what}: {how}{_rows(one.rows)}, {_size(one.bytes)}")
        partitions = sum(bool(one.partition) for one in pruned)
        total = f"{_rows(sum(one.rows for one in pruned))}, {partitions} partition{'' if partitions == 1 else 's'}"
        words = "Would delete" if dry_run else "Deleted"
        self.stdout.write(f"{words} {total}, {_size(sum(one.bytes for one in pruned))}.")


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    return filesizeformat(count).replace("\xa0", " ")
