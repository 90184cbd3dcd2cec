"""`manage.py fill_activity`: store the activity of players who clicked before an upgrade, for retention."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from audience.digest import earlier_activity
from audience.digest.queue import lock_game
from audience.management import game_option
from audience.models import Game, Touch

PLAYERS_AT_ONCE = 200


class Command(BaseCommand):
    help = "Store the activity of players who clicked before an upgrade, which retention counts. It may run twice."

    def add_arguments(self, parser: CommandParser) -> None:
        game_option.add_game_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        game = game_option.selected_game(options["game"])
        for one in [game] if game else Game.objects.all():
            players = list(Touch.objects.filter(game=one).order_by().values_list("person_id", flat=True).distinct())
            for start in range(0, len(players), PLAYERS_AT_ONCE):
                with transaction.atomic():
                    lock_game(one.pk, wait=True)
                    earlier_activity.add(game=one, changed=players[start : start + PLAYERS_AT_ONCE], clicked={})
            self.stdout.write(
                f"{one.slug}: the activity of {len(players):,} player{'' if len(players) == 1 else 's'} is stored."
            )
