"""Representations of games."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.models import Game, Role
from audience.models.games import MAX_SLUG_LENGTH

EXAMPLE = {"slug": "sky-raiders", "name": "Sky Raiders", "role": "admin", "created_at": "2026-11-02T09:30:00Z"}


class GameSerializer(ReadSerializer):
    """A game. `slug` is its URL name, which never changes."""

    slug = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(Role.choices, help_text="What the token may do in the game.")
    created_at = serializers.DateTimeField()


class GameChangeSerializer(StrictSerializer):
    name = serializers.CharField(max_length=100)


class GameCreateSerializer(GameChangeSerializer):
    slug = serializers.RegexField(
        r"^[-a-zA-Z0-9_]+$",
        max_length=MAX_SLUG_LENGTH,
        default="",
        error_messages={"invalid": "A URL name has letters, digits, hyphens and underscores."},
        help_text="Its URL name, in lowercase. Without it, it is created from the name.",
    )


def values_of(game: Game, role: str) -> dict[str, Any]:
    """Return the values of GameSerializer."""
    return {"slug": game.slug, "name": game.name, "role": role, "created_at": game.created_at}
