"""Representations of the goals of a game."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer
from postbacks.api.postbacks.settings import DefinitionEntrySerializer, DefinitionSerializer, definition
from postbacks.configs import goal_copies
from postbacks.configs.game_goals import MAX_NAME
from postbacks.models import GameGoal, PostbackConfig

EXAMPLE: dict[str, Any] = {
    "id": "b8a4e9f0-2d35-4a36-8c53-58b1f5b40c01",
    "name": "VIP",
    "event": "purchase",
    "condition": {"property": "value", "op": "gte", "value": "100"},
    "once": True,
    "server_only": False,
    "repeat_orders": False,
    "version": 2,
    "postbacks": ["6f2f1a34-51c9-4be6-9c2a-0d2d3a6f1b55"],
    "created_at": "2026-11-02T09:30:00Z",
    "updated_at": "2026-11-20T16:00:00Z",
}
WRITABLE_EXAMPLE = {
    "name": "VIP",
    "event": "purchase",
    "condition": {"property": "value", "op": "gte", "value": 100},
    "once": True,
}


class GameGoalSerializer(DefinitionSerializer):
    """A goal of the game, which its postbacks may use."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    postbacks = serializers.ListField(child=serializers.UUIDField(), help_text="The postbacks that use it.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def to_representation(self, goal: GameGoal) -> Any:
        """`context["users"]` is {id of a goal: the postbacks that use it}."""
        users: list[PostbackConfig] = self.context["users"].get(str(goal.pk), [])
        names = ("id", "name", "version", "created_at", "updated_at")
        values = {name: getattr(goal, name) for name in names} | {"postbacks": [config.pk for config in users]}
        return super().to_representation({**values, **definition(goal_copies.copy_of(goal))})


class ChangedGoalSerializer(ReadSerializer):
    """A goal, and the postbacks that got a new version because they use it."""

    goal = GameGoalSerializer()
    changed_postbacks = serializers.ListField(child=serializers.UUIDField())


class GoalCreateSerializer(DefinitionEntrySerializer):
    """A new goal."""

    name = serializers.CharField(max_length=MAX_NAME, help_text="Postbacks list the goal by this name.")
    event = serializers.CharField(help_text="The exact name that the game sends.")


class GoalChangeSerializer(DefinitionEntrySerializer):
    """What to change; what is left out stays."""

    name = serializers.CharField(max_length=MAX_NAME, required=False)
