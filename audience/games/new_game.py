"""Creating a game."""

from typing import Any

from django.db import IntegrityError, transaction

from audience.models import Game, Membership, Role


def create_game(*, name: str, slug: str, created_by: Any) -> Game:
    """Create a game with its creator as admin. If `slug` is taken, the first free of slug-2, slug-3, ... is used."""
    number = 1
    while True:
        try:
            return _create(name, _numbered(slug, number), created_by)
        except IntegrityError:
            if not Game.objects.filter(slug=_numbered(slug, number)).exists():
                raise
            number += 1


@transaction.atomic
def _create(name: str, slug: str, created_by: Any) -> Game:
    game = Game.objects.create(name=name, slug=slug)
    Membership.objects.create(game=game, user=created_by, role=Role.ADMIN)
    return game


def _numbered(slug: str, number: int) -> str:
    ending = f"-{number}" if number > 1 else ""
    longest = Game._meta.get_field("slug").max_length
    return slug[: longest and longest - len(ending)] + ending
