"""The settings of a postback in bodies and answers: goals, credential parts, and what a program may leave out."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.models import Trigger
from postbacks.configs.entered_settings import EnteredSettings
from postbacks.networks import NETWORKS
from postbacks.outbox.conditions import OPERATORS
from postbacks.outbox.goals import Goal

TEXT_OR_LIST = {
    "oneOf": [
        {"type": "string"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}},
    ]
}
GOAL_EXAMPLE = {
    "event": "level_complete",
    "sent_as": "",
    "once": True,
    "condition": {"property": "level", "op": "gte", "value": "10"},
    "server_only": False,
    "repeat_orders": False,
    "object_id": "",
    "game_goal": None,
}
WRITABLE_EXAMPLE = {
    "network": "tiktok",
    "pixel_id": "CABC1234567890",
    "credential": {"token": "9f1c0a2b6d5e4f3a8b7c6d5e4f3a2b1c"},
    "triggers": ["game_launch", "purchase"],
    "goals": [{"event": "level_complete", "once": True, "condition": {"property": "level", "op": "gte", "value": 10}}],
    "time_zone": "Europe/Berlin",
}


@extend_schema_field(TEXT_OR_LIST)
class ConditionValueField(serializers.Field[Any, Any, Any, Any]):
    """Text, a number, true, false, or for `in` a list of these."""

    default_error_messages = {"invalid": "This must be text, a number, true or false, or a list of these."}

    def to_internal_value(self, data: Any) -> Any:
        values = data if isinstance(data, list) else [data]
        if not all(isinstance(value, str | int | float) for value in values):
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class ConditionEntrySerializer(StrictSerializer):
    """A condition on one property of the event."""

    property = serializers.CharField(allow_blank=True, help_text="Write cart.total for a property inside another.")
    op = serializers.ChoiceField(list(OPERATORS.items()))
    value = ConditionValueField(required=False, allow_null=True, help_text="Leave it out for `exists`.")


class DefinitionEntrySerializer(StrictSerializer):
    """Which events count for a goal."""

    event = serializers.CharField(required=False, allow_blank=True, help_text="The exact name that the game sends.")
    condition = ConditionEntrySerializer(required=False, allow_null=True)
    once = serializers.BooleanField(required=False, help_text="Only the first event of each player counts.")
    server_only = serializers.BooleanField(required=False, help_text="Only events of a server key count.")
    repeat_orders = serializers.BooleanField(required=False, help_text="Every event of an order counts.")


class GoalEntrySerializer(DefinitionEntrySerializer):
    """A goal. One with `game_goal` has the definition of that goal, and its event may be left out."""

    sent_as = serializers.CharField(
        required=False, allow_blank=True, help_text="The network's event name; empty for the usual one."
    )
    object_id = serializers.CharField(
        required=False, allow_blank=True, help_text="The network's object that it reports to."
    )
    game_goal = serializers.UUIDField(required=False, allow_null=True, help_text="The id of a goal of the game.")


class ConditionSerializer(ReadSerializer):
    property = serializers.CharField()
    op = serializers.ChoiceField(list(OPERATORS.items()))
    value = ConditionValueField(allow_null=True, help_text="Text; for `in` a list; null for `exists`.")


class DefinitionSerializer(ReadSerializer):
    event = serializers.CharField()
    condition = ConditionSerializer(allow_null=True)
    once = serializers.BooleanField()
    server_only = serializers.BooleanField()
    repeat_orders = serializers.BooleanField()


class GoalSerializer(DefinitionSerializer):
    """A goal of a postback. It can be sent back unchanged."""

    sent_as = serializers.CharField()
    object_id = serializers.CharField()
    game_goal = serializers.UUIDField(allow_null=True)

    def to_representation(self, goal: Goal) -> dict[str, Any]:
        names = ("sent_as", "object_id")
        return {
            **definition(goal),
            **{name: getattr(goal, name) for name in names},
            "game_goal": goal.game_goal or None,
        }


def definition(goal: Goal) -> dict[str, Any]:
    """Return the representation of which events count."""
    condition = {"value": None, **goal.condition.as_json()} if goal.condition else None
    flags = {name: getattr(goal, name) for name in ("once", "server_only", "repeat_orders")}
    return {"event": goal.event, "condition": condition, **flags}


class SettingsSerializer(StrictSerializer):
    """Settings of a postback."""

    pixel_id = serializers.CharField(required=False, allow_blank=True, help_text="As `pixel` of the network describes.")
    credential = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False),
        required=False,
        help_text="Part: value, as `credential_parts` of the network describes. Never shown again.",
    )
    triggers = serializers.ListField(
        child=serializers.ChoiceField(Trigger.choices), required=False, max_length=10, help_text="Built-in events."
    )
    goals = GoalEntrySerializer(many=True, required=False)
    enabled = serializers.BooleanField(required=False, help_text="True if it is left out.")
    time_zone = serializers.CharField(required=False, help_text="That of the ad account, such as Europe/Berlin.")
    test_code = serializers.CharField(
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="The check then sends an event to the network's test view. Not stored.",
    )


class PostbackCreateSerializer(SettingsSerializer):
    """A new postback."""

    network = serializers.ChoiceField([(kind, kind) for kind in NETWORKS])
    pixel_id = serializers.CharField(help_text="As `pixel` of the network describes.")
    credential = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False),
        help_text="Part: value, as `credential_parts` of the network describes. Never shown again.",
    )


class PostbackChangeSerializer(SettingsSerializer):
    """What to change; what is left out stays. A part of the credential that is left out or empty stays too, except an
    optional part that is not secret: an empty value removes it."""


class RotateSerializer(StrictSerializer):
    """A new credential."""

    credential = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False),
        allow_empty=False,
        help_text="The parts to replace. Never shown again.",
    )
    test_code = serializers.CharField(required=False, allow_blank=True, write_only=True)


def entered(data: Mapping[str, Any]) -> EnteredSettings:
    """Return the settings of a validated body."""
    names = ("pixel_id", "triggers", "goals", "enabled", "time_zone", "credential", "test_code")
    return EnteredSettings(**{name: data[name] for name in names if name in data})
