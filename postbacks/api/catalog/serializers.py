"""Representations of the event catalog, and of a validated batch."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from audience.api.rejections.serializers import ViolationSerializer
from audience.api.toolkit.serializers import MoneySerializer, ReadSerializer, StrictSerializer, as_money
from audience.catalog.checks import Check
from audience.hub.toolkit.masking import masked
from audience.intake.dry_run import Status
from audience.models import Dialect, Kind, PropertyType
from audience.models.described_events import MAX_DESCRIPTION
from postbacks.preview.batch_validation import ValidatedMessage
from postbacks.reporting.catalog.events import CatalogEvent, EventDetails
from postbacks.reporting.catalog.goal_uses import GoalUse


class WarningSerializer(ReadSerializer):
    code = serializers.CharField()
    message = serializers.CharField()
    property = serializers.CharField(help_text="Empty for the event as a whole.")
    events = serializers.IntegerField(help_text="How many events it is about; 0 if it is about none in particular.")


class GoalOfEventSerializer(ReadSerializer):
    goal = serializers.CharField()
    postback = serializers.UUIDField(allow_null=True, help_text="Null: no postback uses the goal.")


class CatalogEventSerializer(ReadSerializer):
    """An event that the game sends, that a goal counts, or that the studio described."""

    kind = serializers.ChoiceField(Kind.choices)
    name = serializers.CharField(help_text="Of a track event; empty for other kinds.")
    description = serializers.CharField()
    events = serializers.IntegerField(help_text="How many were received in the period.")
    last_at = serializers.DateTimeField(allow_null=True)
    is_predefined = serializers.BooleanField()
    is_described = serializers.BooleanField()
    goals = GoalOfEventSerializer(many=True)
    warnings = WarningSerializer(many=True)


class CatalogSerializer(ReadSerializer):
    results = CatalogEventSerializer(many=True)
    others = serializers.IntegerField(help_text="Events with names beyond the limit, which are not listed.")


class TypeCountSerializer(ReadSerializer):
    type = serializers.ChoiceField(PropertyType.choices)
    events = serializers.IntegerField()


class PropertySerializer(ReadSerializer):
    """A property that events have, or should have."""

    path = serializers.CharField()
    share = serializers.FloatField(help_text="The part of the events that have a value, from 0 to 1.")
    types = TypeCountSerializer(many=True)
    expected = serializers.ListField(child=serializers.ChoiceField(PropertyType.choices))
    is_required = serializers.BooleanField()


class EventSenderSerializer(ReadSerializer):
    key = serializers.CharField(help_text="The name of the key.")
    library = serializers.CharField()
    version = serializers.CharField()
    events = serializers.IntegerField()


class CatalogEventDetailSerializer(CatalogEventSerializer):
    """An event with its properties and senders."""

    properties = PropertySerializer(many=True)
    has_further_properties = serializers.BooleanField(help_text="Some properties are not counted separately.")
    senders = EventSenderSerializer(many=True)
    required_properties = serializers.DictField(
        child=serializers.ChoiceField(PropertyType.choices), help_text="Of the description: {path: type}."
    )


class DescriptionSerializer(StrictSerializer):
    """What the studio says about an event. Missing required properties are warned about, never refused."""

    description = serializers.CharField(max_length=MAX_DESCRIPTION, allow_blank=True, default="")
    required_properties = serializers.DictField(child=serializers.ChoiceField(PropertyType.choices), default=dict)


class BatchSerializer(StrictSerializer):
    """A request as an SDK sends it: with a key of the game, or with any key of a format."""

    key = serializers.IntegerField(required=False, min_value=1, help_text="The id of a key.")
    dialect = serializers.ChoiceField(Dialect.choices, required=False)
    route = serializers.CharField(required=False, allow_blank=True, default="", help_text="Such as `batch`.")
    body = serializers.JSONField(help_text="The body of the request.")


class GoalMatchSerializer(ReadSerializer):
    goal = serializers.CharField()
    postback = serializers.UUIDField(allow_null=True)
    counts = serializers.BooleanField()
    reason = serializers.CharField(help_text="Why it does not count; empty if it does.")


class PossibleConversionSerializer(ReadSerializer):
    """The conversion by the content of the event only: no player, click or consent is looked up."""

    trigger = serializers.CharField()
    value = MoneySerializer(allow_null=True)
    problem = serializers.CharField(help_text="Why the amount is neither summed nor sent; empty if it is.")
    order_id = serializers.CharField()
    reason = serializers.CharField(help_text="Why it is not sent; empty if it may be.")
    goals = GoalMatchSerializer(many=True)


class ValidatedMessageSerializer(ReadSerializer):
    """What would become of one message."""

    index = serializers.IntegerField(allow_null=True, help_text="Null: the request is refused as a whole.")
    status = serializers.ChoiceField([(one.value, one.value) for one in Status])
    kind = serializers.CharField()
    name = serializers.CharField()
    event_at = serializers.DateTimeField(allow_null=True)
    violations = ViolationSerializer(many=True)
    ignored = serializers.ListField(child=serializers.CharField())
    warnings = WarningSerializer(many=True)
    click = serializers.CharField(help_text="The ad network of a click that it states; empty for none.")
    conversion = PossibleConversionSerializer(allow_null=True)


class ValidationSerializer(ReadSerializer):
    """Nothing was stored."""

    status = serializers.IntegerField(help_text="The HTTP status that the route would answer.")
    answer = serializers.CharField(help_text="The body that the route would answer.")
    messages = ValidatedMessageSerializer(many=True)


def event_values(event: CatalogEvent, *, addresses: bool) -> dict[str, Any]:
    return {
        "kind": event.key.kind,
        "name": masked(event.key.name, addresses=addresses),
        "description": event.description,
        "events": event.number,
        "last_at": event.last_at,
        "is_predefined": event.is_predefined,
        "is_described": event.is_described,
        "goals": [_goal(use) for use in event.uses],
        "warnings": _warnings(event.checks, addresses),
    }


def detail_values(details: EventDetails, *, addresses: bool) -> dict[str, Any]:
    described = details.described
    return {
        **event_values(details.event, addresses=addresses),
        "last_at": details.last_at,
        "properties": [
            {
                "path": masked(one.path, addresses=addresses),
                "share": one.share,
                "types": [{"type": kind, "events": number} for kind, number in one.types],
                "expected": list(one.expected),
                "is_required": one.is_required,
            }
            for one in details.properties
        ],
        "has_further_properties": details.has_further_properties,
        "senders": [
            {"key": one.key, "library": one.library, "version": one.version, "events": one.number}
            for one in details.senders
        ],
        "required_properties": described.required_types if described else {},
    }


def message_values(message: ValidatedMessage, *, addresses: bool) -> dict[str, Any]:
    event, found = message.checked.event, message.conversion
    conversion = found and {
        "trigger": found.trigger,
        "value": as_money(found.value, found.currency),
        "problem": found.problem,
        "order_id": found.order_id,
        "reason": found.reason,
        "goals": [{**_goal(one.use), "counts": one.counts, "reason": one.reason} for one in found.goals],
    }
    return {
        "index": message.checked.index,
        "status": message.checked.status.value,
        "kind": event.kind if event else "",
        "name": event.name if event else "",
        "event_at": event.event_at if event else None,
        "violations": [
            {"field": one.field, "code": one.code, "message": one.message} for one in message.checked.errors
        ],
        "ignored": list(message.ignored),
        "warnings": _warnings(message.warnings, addresses),
        "click": message.click,
        "conversion": conversion,
    }


def _goal(use: GoalUse) -> dict[str, Any]:
    return {"goal": use.label, "postback": use.config.pk if use.config else None}


def _warnings(checks: Sequence[Check], addresses: bool) -> list[dict[str, Any]]:
    return [
        {
            "code": str(check.code),
            "message": masked(check.sentence, addresses=addresses),
            "property": masked(check.path, addresses=addresses),
            "events": check.number,
        }
        for check in checks
    ]
