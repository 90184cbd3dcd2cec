"""The option --game of the retry commands."""

from django.core.management.base import CommandError, CommandParser

from audience.models import Game


def add_game_option(parser: CommandParser) -> None:
    parser.add_argument("--game", metavar="SLUG", help="only of this game")


def selected_game(slug: str | None) -> Game | None:
    """Return the game with this slug; None without a slug. Raises CommandError if there is no such game."""
    if not slug:
        return None
    game = Game.objects.filter(slug=slug).first()
    if game is None:
        raise CommandError(f"The game “{slug}” does not exist.")
    return game
