"""Bodies and answers of previews, dry runs, test conversions and copied settings."""

from rest_framework import serializers

from audience.api.toolkit.fields import ObjectField
from audience.api.toolkit.filtering import QuerySerializer
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.models import Reason, Trigger
from consent.models import Level
from postbacks.api.postbacks.settings import GOAL_EXAMPLE, GoalSerializer, SettingsSerializer
from postbacks.networks import NETWORKS
from postbacks.preview.preview import FillState

KINDS = [(kind, kind) for kind in NETWORKS]
PREVIEW_EXAMPLE = {
    "conversion": "3f1d7c0a-9e55-4f5c-8a61-2f0f6a9d1c20",
    "level": "full",
    "reason": None,
    "facts": [{"label": "Value", "paths": ["data[].properties.value"], "state": "filled", "value": "9.99"}],
    "body": {"data": [{"event": "Purchase"}]},
    "problem": "",
    "has_match_key": True,
}
DRY_RUN_EXAMPLE = {
    "since": "2026-11-14T10:00:00Z",
    "considered": 4210,
    "is_capped": False,
    "sent": 3980,
    "not_sent": 230,
    "sent_before": 3900,
    "reasons": [{"reason": "no_click", "label": "No ad click", "count": 230, "before": 310}],
    "new_events": [{"event": "level_complete", "count": 1200, "at_least": False}],
}
COPY_EXAMPLE = {
    "network": "meta",
    "triggers": ["purchase"],
    "goals": [GOAL_EXAMPLE],
    "enabled": True,
    "notes": ["The credential and the pixel code were not copied. Enter those of Meta Ads."],
}


class PreviewQuery(QuerySerializer):
    conversion = serializers.UUIDField(required=False, help_text="Else the newest one of a click for the postback.")


class CopyQuery(QuerySerializer):
    network = serializers.ChoiceField(KINDS, help_text="The network of the new postback.")


class ProposedSerializer(SettingsSerializer):
    """Settings that are not stored. They are those of `postback` with the given values, or of a new postback to
    `network`."""

    postback = serializers.UUIDField(required=False)
    network = serializers.ChoiceField(KINDS, required=False)


class PreviewBodySerializer(ProposedSerializer):
    """Settings that are not stored, and the conversion to preview."""

    conversion = serializers.UUIDField(required=False, help_text="Else the newest one of a click for the postback.")


class PreviewFieldSerializer(ReadSerializer):
    label = serializers.CharField()  # type: ignore[assignment]
    paths = serializers.ListField(child=serializers.CharField(), help_text="Its fields in the body.")
    state = serializers.ChoiceField(FillState.choices)
    value = serializers.CharField()


class PreviewSerializer(ReadSerializer):
    """What the network would receive about a conversion. Personal values are shortened for the role of a viewer."""

    conversion = serializers.UUIDField(source="conversion.pk")
    level = serializers.ChoiceField(Level.choices, help_text="The player's consent.")
    reason = serializers.ChoiceField(Reason.choices, allow_null=True, help_text="Why it would not be sent.")
    facts = PreviewFieldSerializer(many=True, source="fields")
    body = ObjectField(help_text="Null if there is none.")
    problem = serializers.CharField(help_text="Why there is no body.")
    has_match_key = serializers.BooleanField(help_text="Whether the network could match it to a user.")


class RequestSerializer(ReadSerializer):
    """The request that templates make of a made-up purchase, without secrets."""

    method = serializers.CharField()
    url = serializers.CharField()
    headers = serializers.DictField(child=serializers.CharField())
    body = serializers.CharField()
    problems = serializers.ListField(child=serializers.CharField())


class PreviewsSerializer(ReadSerializer):
    preview = PreviewSerializer(allow_null=True, help_text="Null if the game has no conversion.")
    request = RequestSerializer(allow_null=True, help_text="Of networks with templates only.")


class ReasonCountSerializer(ReadSerializer):
    reason = serializers.ChoiceField(Reason.choices)
    label = serializers.CharField()  # type: ignore[assignment]
    count = serializers.IntegerField()
    before = serializers.IntegerField(allow_null=True, help_text="With the present settings; null without any.")


class EventCountSerializer(ReadSerializer):
    event = serializers.CharField()
    count = serializers.IntegerField()
    at_least = serializers.BooleanField(help_text="Whether not all events were read.")


class DryRunSerializer(ReadSerializer):
    """The conversions of the last week with these settings. Nothing is stored or sent."""

    since = serializers.DateTimeField()
    considered = serializers.IntegerField()
    is_capped = serializers.BooleanField(help_text="Whether only the newest ones were considered.")
    sent = serializers.IntegerField()
    not_sent = serializers.IntegerField()
    sent_before = serializers.IntegerField(allow_null=True, help_text="With the present settings; null without any.")
    reasons = ReasonCountSerializer(many=True)
    new_events = EventCountSerializer(many=True, help_text="Events of goals that make no conversions yet.")


class CopySerializer(ReadSerializer):
    """Settings for a postback to another network."""

    network = serializers.CharField()
    triggers = serializers.ListField(child=serializers.ChoiceField(Trigger.choices))
    goals = GoalSerializer(many=True)
    enabled = serializers.BooleanField()
    notes = serializers.ListField(child=serializers.CharField(), help_text="What was not copied.")


class TestSerializer(StrictSerializer):
    """A test conversion."""

    trigger = serializers.ChoiceField(Trigger.choices)
    test_code = serializers.CharField(
        required=False, allow_blank=True, write_only=True, help_text="As `test_code` of the network describes."
    )
