"""Creating a game."""

from typing import Any

from django.db import IntegrityError, transaction

from audience.models import Game, Membership, Role
from audience.models.games import MAX_SLUG_LENGTH


def create_game(*, name: str, slug: str, created_by: Any) -> Game:
    """Create a game with its creator as admin. If `slug` is taken, the first free of slug-2, slug-3, ... is used."""
    number, candidate = 1, slug
    while True:
        try:
            with transaction.atomic():
                game = Game.objects.create(name=name, slug=candidate)
                Membership.objects.create(game=game, user=created_by, role=Role.ADMIN)
                return game
        except IntegrityError:
            if not Game.objects.filter(slug=candidate).exists():
                raise
        number += 1
        suffix = f"-{number}"
        candidate = slug[: MAX_SLUG_LENGTH - len(suffix)] + suffix
