"""Making a game."""

from typing import Any

from django.db import transaction

from audience.models import Game, Membership, Role


@transaction.atomic
def create_game(*, name: str, slug: str, created_by: Any) -> Game:
    """A game whose first admin is its maker. A slug that is taken raises IntegrityError."""
    game = Game.objects.create(name=name, slug=slug)
    Membership.objects.create(game=game, user=created_by, role=Role.ADMIN)
    return game
