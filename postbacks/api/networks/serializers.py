"""Representations of the networks that postbacks can be sent to."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer
from postbacks.api.postbacks.settings import ConditionSerializer
from postbacks.configs import credential_parts, rules
from postbacks.models import EVERY_CLICK
from postbacks.networks.interface.network import Network
from postbacks.networks.interface.ready_goals import READY_GOALS
from postbacks.outbox import goals


class InputSerializer(ReadSerializer):
    """A value that a person enters."""

    label = serializers.CharField()  # type: ignore[assignment]  # the name of a property of fields
    help = serializers.CharField()
    pattern = serializers.CharField(help_text="A regular expression for the whole value; empty for any.")


class NetworkCredentialPartSerializer(ReadSerializer):
    """A part of the credential. Secret parts are never shown again."""

    name = serializers.CharField(help_text="Its key in `credential`.")
    label = serializers.CharField()  # type: ignore[assignment]
    help = serializers.CharField()
    kind = serializers.ChoiceField(["secret", "json", "plain"], help_text="`json` is a whole JSON file as text.")
    is_secret = serializers.BooleanField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    pattern = serializers.CharField(help_text="A regular expression for the whole value.")
    members = serializers.ListField(child=serializers.CharField(), help_text="Required texts in a JSON file.")
    choices = serializers.DictField(child=serializers.CharField(), help_text="Value: its label; empty for any value.")
    example = serializers.CharField(help_text="What the form of a new postback begins with.")


class StandardEventSerializer(ReadSerializer):
    """An event that the network knows."""

    name = serializers.CharField(help_text="For `sent_as` of a goal.")
    label = serializers.CharField()  # type: ignore[assignment]


class CustomEventsSerializer(ReadSerializer):
    """Names of one's own for events."""

    are_accepted = serializers.BooleanField()
    pattern = serializers.CharField()
    help = serializers.CharField()


class ReadyGoalSerializer(ReadSerializer):
    """A goal to copy into `goals`: an event by which games report it, under the network's name."""

    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    event = serializers.CharField()
    condition = ConditionSerializer(allow_null=True, help_text="As in goals.")
    once = serializers.BooleanField()
    sent_as = serializers.CharField()


class ObjectIdSerializer(InputSerializer):
    """The network's object that each goal reports to, such as a conversion action."""

    required = serializers.BooleanField(help_text="Whether a goal without one is refused.")  # type: ignore[assignment]


class PresetSerializer(ReadSerializer):
    """A ready-made request."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    help = serializers.CharField()
    credential = serializers.DictField(child=serializers.CharField(), help_text="Parts to begin with.")


class LimitsSerializer(ReadSerializer):
    max_age_seconds = serializers.IntegerField(help_text="Older events are not sent.")
    requests_per_second = serializers.FloatField(help_text="To one pixel at most.")
    max_goals = serializers.IntegerField()
    max_credential_part = serializers.IntegerField(help_text="Characters.")
    max_test_code = serializers.IntegerField(help_text="Characters.")


class NetworkSerializer(ReadSerializer):
    """A network, with everything that the form of its postbacks asks for and accepts."""

    kind = serializers.CharField(help_text="For `network` of a postback.")
    label = serializers.CharField()  # type: ignore[assignment]
    summary = serializers.CharField()
    pixel = InputSerializer()
    credential_parts = NetworkCredentialPartSerializer(many=True)
    test_code = InputSerializer(allow_null=True, help_text="Null: the network has no test codes.")
    has_test_events = serializers.BooleanField(help_text="Whether a test conversion can be sent.")
    events = serializers.DictField(
        child=serializers.CharField(), help_text="The usual name of each built-in trigger event."
    )
    standard_events = StandardEventSerializer(many=True)
    custom_events = CustomEventsSerializer()
    ready_goals = ReadyGoalSerializer(many=True)
    object_id = ObjectIdSerializer(allow_null=True, help_text="Null: the network does not use such IDs.")
    click_parameters = serializers.ListField(
        child=serializers.CharField(), help_text="Query parameters of a landing page that are its click IDs."
    )
    takes_named_clicks = serializers.BooleanField(
        help_text=f"Whether a postback names click parameters of its own; `{EVERY_CLICK}` for every click."
    )
    utm_sources = serializers.ListField(child=serializers.CharField(), help_text="Values of utm_source of its ads.")
    cookies = serializers.ListField(child=serializers.CharField())
    macros = serializers.DictField(child=serializers.CharField(), help_text="Macros of request templates.")
    presets = PresetSerializer(many=True)
    value_events = serializers.ListField(
        child=serializers.CharField(), help_text="Events that the network refuses without a value."
    )
    currencies = serializers.ListField(child=serializers.CharField(), help_text="Empty: every currency.")
    confirms_later = serializers.BooleanField(help_text="Whether it reports later which events it counted.")
    limits_data_use = serializers.BooleanField(help_text="Else events with limited data use are not sent.")
    limits = LimitsSerializer()
    defaults = serializers.DictField(help_text="Values of a new postback that may be left out.")
    credential_steps = serializers.ListField(child=serializers.CharField())
    pixel_steps = serializers.ListField(child=serializers.CharField())
    check_note = serializers.CharField(help_text="What the check of a credential sends, if that may be counted.")
    test_note = serializers.CharField(help_text="What a test conversion sends, if that may be counted.")

    def to_representation(self, network: Network) -> dict[str, Any]:
        names = ("kind", "label", "summary", "has_test_events", "confirms_later", "limits_data_use")
        found: dict[str, Any] = {name: getattr(network, name) for name in (*names, "check_note", "test_note")}
        lists = ("utm_sources", "cookies", "value_events", "credential_steps", "pixel_steps")
        found |= {name: list(getattr(network, name)) for name in lists}
        found |= {name: dict(getattr(network, name)) for name in ("events", "macros")}
        found |= {
            "pixel": _input(network.pixel_label, network.pixel_help, network.pixel_pattern),
            "credential_parts": [_part(part) for part in network.credential_fields],
            "test_code": _input(network.test_code_label, network.test_code_help) if network.test_code_label else None,
            "standard_events": [{"name": name, "label": label} for name, label in network.standard_events.items()],
            "custom_events": {
                "are_accepted": network.custom_events,
                "pattern": network.custom_event_pattern,
                "help": network.custom_event_help,
            },
            "ready_goals": _ready_goals(network),
            "object_id": _object_id(network),
            "click_parameters": list(network.click_params),
            "takes_named_clicks": network.has_templates,
            "presets": [_preset(preset) for preset in network.presets],
            "currencies": sorted(network.currencies),
            "limits": _limits(network),
            "defaults": {"enabled": True, "time_zone": "UTC", "triggers": [], "goals": []},
        }
        return found


def _input(label: str, help_text: str, pattern: str = "") -> dict[str, str]:
    return {"label": label, "help": help_text, "pattern": pattern}


def _part(part: Any) -> dict[str, Any]:
    return {
        **{name: getattr(part, name) for name in ("name", "label", "help", "kind", "required", "pattern")},
        "is_secret": part.kind != "plain",
        "members": list(part.members),
        "choices": dict(part.choices),
        "example": part.default,
    }


def _preset(preset: Any) -> dict[str, Any]:
    return {"name": preset.name, "label": preset.label, "help": preset.help, "credential": dict(preset.parts)}


def _object_id(network: Network) -> dict[str, Any] | None:
    wanted = network.object_id
    return {**_input(wanted.label, wanted.help, wanted.pattern), "required": wanted.required} if wanted else None


def _ready_goals(network: Network) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "label": ready.label,
            "event": event.name,
            "condition": _plain(event.condition),
            "once": ready.once,
            "sent_as": sent_as,
        }
        for key, ready in READY_GOALS.items()
        if (sent_as := network.ready_goals.get(key)) is not None
        for event in ready.events
    ]


def _plain(condition: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return dict(condition) if condition else None


def _limits(network: Network) -> dict[str, Any]:
    return {
        "max_age_seconds": int(network.max_age.total_seconds()),
        "requests_per_second": settings.NETWORK_RATES[network.kind],
        "max_goals": goals.MAX_GOALS,
        "max_credential_part": credential_parts.MAX_CREDENTIAL,
        "max_test_code": rules.MAX_TEST_CODE,
    }
