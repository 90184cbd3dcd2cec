"""A comparison with a network as JSON."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import MoneySerializer, ReadSerializer
from audience.hub.toolkit.masking import masked
from audience.models import trigger_label
from audience.wording.days import Days
from postbacks.api.reports.figures import DefinitionSerializer, definitions_of, money_list
from postbacks.models import PostbackConfig
from postbacks.networks.interface.network import Network
from postbacks.reporting.comparison import COLUMNS, Comparison, Numbers
from postbacks.reporting.comparison_findings import Finding, findings
from postbacks.reporting.figure_rows import POSTBACK


class ComparedPostbackSerializer(ReadSerializer):
    postback_id = serializers.UUIDField()
    network = serializers.CharField()
    pixel_id = serializers.CharField()
    is_deleted = serializers.BooleanField()


class NumbersSerializer(ReadSerializer):
    """Conversions of the postback, and the values that were sent, by currency."""

    postback_eligible = serializers.IntegerField()
    postback_sent = serializers.IntegerField()
    postback_accepted = serializers.IntegerField()
    postback_confirmed = serializers.IntegerField()
    postback_refused = serializers.IntegerField()
    postback_valued = MoneySerializer(many=True)


class EventNumbersSerializer(NumbersSerializer):
    event = serializers.CharField()
    event_label = serializers.CharField()


class DayNumbersSerializer(EventNumbersSerializer):
    day = serializers.DateField(help_text="In the time zone of the ad account.")


class FindingEventSerializer(ReadSerializer):
    event = serializers.CharField()
    event_label = serializers.CharField()
    count = serializers.IntegerField()


class FindingSerializer(ReadSerializer):
    """Why numbers differ. `is_missing`: these are eligible, and the network did not accept them."""

    key = serializers.CharField(help_text="A reason, or a figure of deliveries.")
    count = serializers.IntegerField()
    is_missing = serializers.BooleanField()
    text = serializers.CharField(help_text="Follows the number.")
    next_step = serializers.CharField()
    events = FindingEventSerializer(many=True)


class ComparisonSerializer(ReadSerializer):
    """The conversions of a postback beside the report of its network."""

    postback = ComparedPostbackSerializer()
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    time_zone = serializers.CharField(help_text="That of the ad account.")
    total = NumbersSerializer()
    by_event = EventNumbersSerializer(many=True)
    by_day = DayNumbersSerializer(many=True, help_text="The newest day first.")
    postback_missing = serializers.IntegerField()
    findings = FindingSerializer(many=True)
    definitions = serializers.DictField(child=DefinitionSerializer())


def comparison_values(
    config: PostbackConfig, network: Network, days: Days, compared: Comparison, *, addresses: bool
) -> dict[str, Any]:
    keys = [*(f"{POSTBACK}{name}" for name in (*COLUMNS, "valued", "missing"))]
    return {
        "postback": {
            "postback_id": config.pk,
            "network": config.network,
            "pixel_id": config.pixel_id,
            "is_deleted": config.deleted_at is not None,
        },
        "first_day": days.first,
        "last_day": days.last,
        "time_zone": days.zone.key,
        "total": _numbers(compared.total),
        "by_event": [{**_event(event, addresses), **_numbers(numbers)} for event, numbers in compared.by_event.items()],
        "by_day": [
            {"day": day, **_event(event, addresses), **_numbers(numbers)}
            for (day, event), numbers in compared.by_day.items()
        ],
        "postback_missing": compared.missing,
        "findings": [_finding(found, addresses) for found in findings(compared.findings, network)],
        "definitions": definitions_of(keys),
    }


def _event(event: str, addresses: bool) -> dict[str, str]:
    return {
        "event": masked(event, addresses=addresses),
        "event_label": masked(trigger_label(event), addresses=addresses),
    }


def _numbers(numbers: Numbers) -> dict[str, Any]:
    counts = {f"{POSTBACK}{name}": numbers.counts[name] for name in COLUMNS}
    return {**counts, "postback_valued": money_list(numbers.values)}


def _finding(finding: Finding, addresses: bool) -> dict[str, Any]:
    return {
        "key": finding.key,
        "count": finding.count,
        "is_missing": finding.is_missing,
        "text": finding.text,
        "next_step": finding.next_step,
        "events": [{**_event(event, addresses), "count": count} for event, _, count in finding.events],
    }
