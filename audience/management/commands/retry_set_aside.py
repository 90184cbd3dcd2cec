"""`manage.py retry_set_aside`: retry failed work that was set aside. For batches there is retry_batches."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audience.background import set_aside
from audience.management import game_option
from audience.models import FailedWork, Queue


class Command(BaseCommand):
    help = (
        "Retry work that was set aside after repeated failures, of all games unless --game is given. Its attempts are"
        " reset. Idempotent. For requests, use retry_batches."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="only these rows of Failed work")
        parser.add_argument("--queue", choices=Queue.values, help="only of this queue")
        game_option.add_game_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        work, game = FailedWork.objects.set_aside(), game_option.selected_game(options["game"])
        if game is not None:
            work = work.filter(game=game)
        if options["queue"]:
            work = work.filter(queue=options["queue"])
        if options["ids"]:
            work = work.filter(pk__in=options["ids"])
        self.stdout.write(f"Queued again: {set_aside.retry_set_aside(work)}.")
