"""`manage.py retry_batches`: digest failed batches again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audience.background import set_aside
from audience.management import game_option
from audience.models import Batch


class Command(BaseCommand):
    help = (
        "Process requests again that were set aside: batches in the state Failed, of all games unless --game is given."
        " Their attempts are reset. Idempotent."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="only these batches")
        game_option.add_game_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        batches, game = Batch.objects.all(), game_option.selected_game(options["game"])
        if game is not None:
            batches = batches.filter(game=game)
        if options["ids"]:
            batches = batches.filter(pk__in=options["ids"])
        self.stdout.write(f"Queued again: {set_aside.retry_failed_batches(batches)}.")
