"""`manage.py retry_set_aside`: retry failed work of all queues but the digest's."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audience.background import retries
from audience.management import game_option
from audience.models import FailedWork, Queue


class Command(BaseCommand):
    help = (
        "Have work tried again that was set aside after failing again and again, of every game unless one is named."
        " Each row gets all its attempts again. Running it twice does no harm. Requests to digest: retry_batches."
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
        self.stdout.write(f"To be tried again: {retries.retry(work)}.")
