"""`manage.py audit`: check the ledger of postbacks. Exit code 1 on any violation."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audience.models import Game
from postbacks.reporting import audit


class Command(BaseCommand):
    help = (
        "Check that no conversion was lost or counted twice: per game, network and day, eligible = delivered + "
        "waiting + held + failed + skipped + canceled, and further checks. It changes nothing and can run at any time. "
        "The exit code is 1 on a violation."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--game", metavar="SLUG", help="only this game")
        parser.add_argument(
            "--days",
            type=int,
            default=audit.DAYS,
            help="events of this number of UTC days, today included (default %(default)s; 0: all)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 0:
            raise CommandError("--days must not be negative.")
        report = audit.run(game=_game(options["game"]), days=options["days"])
        self.stdout.write(json.dumps(report.as_json()) if options["json"] else report.text())
        if report.violations:
            raise SystemExit(1)


def _game(slug: str | None) -> Game | None:
    if not slug:
        return None
    game = Game.objects.filter(slug=slug).first()
    if game is None:
        raise CommandError(f"The game “{slug}” does not exist.")
    return game
