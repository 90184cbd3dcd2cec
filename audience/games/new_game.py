"""Creating a game, which administrators of the installation may."""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from audience.models import Game, Membership, Role
from audience.models.games import MAX_SLUG_LENGTH

ADMINISTRATORS_ONLY = "Only administrators of this installation can create games. Ask one of them."

TAKEN = "Another game has this URL name. Choose another one."


class GameRefused(Exception):
    """The game cannot be created. The message is shown."""


def may_create(user: Any) -> bool:
    """Whether the user may create games; a game's token, which has no user (None), may not."""
    return bool(user and (user.is_superuser or user.is_staff))


def free_slug(*, name: str, slug: str = "") -> str:
    """Return the slug in lowercase, derived from the name if it is blank.

    Raises GameRefused if it is empty or another game has it.
    """
    slug = slug.lower() or slugify(name)[:MAX_SLUG_LENGTH]
    if not slug:
        raise GameRefused("Enter a URL name with letters or digits.")
    if Game.objects.filter(slug=slug).exists():
        raise GameRefused(TAKEN)
    return slug


def create_game(*, name: str, slug: str, created_by: Any, only_this_slug: bool = False) -> Game:
    """Create a game with its creator as admin. If `slug` is taken, the first free of slug-2, slug-3, ... is used.

    With `only_this_slug` GameRefused is raised instead.
    """
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
            if only_this_slug:
                raise GameRefused(TAKEN) from None
        number += 1
        suffix = f"-{number}"
        candidate = slug[: MAX_SLUG_LENGTH - len(suffix)] + suffix
