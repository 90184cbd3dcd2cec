"""The figures of the Overview, and the funnel of conversions."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import MoneySerializer, ReadSerializer, as_money
from audience.models import Game
from postbacks.api.reports.figures import (
    DefinitionSerializer,
    TallySerializer,
    definitions_of,
    money_list,
    tally_values,
)
from postbacks.hub.overview import delivery_totals, figures, headline
from postbacks.hub.overview.backlog import read_backlog
from postbacks.hub.overview.delivery_totals import STATUSES, NetworkTotals
from postbacks.hub.toolkit.config_rows import config_rows
from postbacks.reporting.conversion_list import ConversionList
from postbacks.reporting.event_figures import rejections_listed
from postbacks.reporting.funnel import LABELS, FunnelStep, Tally, count_steps


class LostSerializer(TallySerializer):
    """Conversions that reached a step and not the next one, by status."""

    key = serializers.CharField()
    label = serializers.CharField(read_only=True)  # type: ignore[assignment]  # of the status


class StepPartSerializer(ReadSerializer):
    """A part of a step that the network reported later."""

    key = serializers.CharField()
    label = serializers.CharField(read_only=True)  # type: ignore[assignment]  # of the part
    count = serializers.IntegerField()


class StepSerializer(LostSerializer):
    """A step of the funnel."""

    is_at_least = serializers.BooleanField(help_text="Whether not all were counted.")
    lost = LostSerializer(many=True)
    parts = StepPartSerializer(many=True)


class FunnelSerializer(ReadSerializer):
    """The funnel of a period. Of more than 100,000 conversions, the newest are counted, from `counted_from` on."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    counted_from = serializers.DateTimeField()
    steps = StepSerializer(many=True)
    definitions = serializers.DictField(child=DefinitionSerializer())


class RevenueSerializer(ReadSerializer):
    """Attributed revenue in the reporting currency. `missing` are currencies without an exchange rate."""

    amount = MoneySerializer()
    before = MoneySerializer(help_text="In the period before, of the same length.")
    originals = MoneySerializer(many=True, help_text="The amounts as they were reported.")
    missing = serializers.ListField(child=serializers.CharField())


class ComparedCountSerializer(ReadSerializer):
    count = serializers.IntegerField()
    before = serializers.IntegerField(help_text="In the period before, of the same length.")


class NetworkTotalsSerializer(ReadSerializer):
    """The conversions of the clicks of a network, by outcome."""

    network = serializers.CharField()
    sent = serializers.IntegerField()
    network_accepted = serializers.IntegerField()
    partly_delivered = serializers.IntegerField()
    waiting = serializers.IntegerField()
    held = serializers.IntegerField()
    failed = serializers.IntegerField()
    unmatched = serializers.IntegerField()
    may_have_arrived = serializers.IntegerField()
    success_rate = serializers.CharField(help_text="Such as `99.2%`; empty if nothing ended.")
    p95_latency_ms = serializers.IntegerField(allow_null=True)
    oldest_due_at = serializers.DateTimeField(allow_null=True)


class ClickTotalsSerializer(TallySerializer):
    """Conversions by the network of their click; empty for none."""

    network = serializers.CharField()


class OverviewSerializer(ReadSerializer):
    """The figures of a game in a period."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    revenue = RevenueSerializer()
    sent = ComparedCountSerializer()
    network_accepted = ComparedCountSerializer()
    events_accepted = serializers.IntegerField()
    events_rejected = serializers.IntegerField()
    rejections_listed = serializers.IntegerField()
    conversions = TallySerializer()
    attributed = serializers.IntegerField()
    clicks = ClickTotalsSerializer(many=True)
    networks = NetworkTotalsSerializer(many=True)
    oldest_undigested_at = serializers.DateTimeField(allow_null=True, help_text="Of events that wait to be processed.")
    oldest_due_at = serializers.DateTimeField(allow_null=True, help_text="Of deliveries that could be sent.")
    definitions = serializers.DictField(child=DefinitionSerializer())


def funnel_values(found: ConversionList) -> dict[str, Any]:
    counted = found.counted
    steps = count_steps(counted)
    keys = {key for step in steps for key in (step.key, *(key for key, _ in step.lost))}
    return {
        "since": found.since,
        "until": counted.until,
        "counted_from": counted.since,
        "steps": [_step(step) for step in steps],
        "definitions": definitions_of(sorted(keys)),
    }


def _step(step: FunnelStep) -> dict[str, Any]:
    return {
        "key": step.key,
        "label": step.label,
        **tally_values(step.tally),
        "is_at_least": step.at_least,
        "lost": [{"key": key, "label": LABELS[key], **tally_values(tally)} for key, tally in step.lost],
        "parts": [{"key": key, "label": label, "count": count} for key, label, count in step.parts],
    }


def overview_values(game: Game, *, since: datetime, until: datetime, now: datetime) -> dict[str, Any]:
    configs = config_rows(game)
    first, backlog = headline.read(game, since=since, until=until, now=now), read_backlog(game, configs, now=now)
    (events,) = figures.read_events(game, [since, until]).values()
    by_click = figures.read_conversions(game, since=since, until=until)
    total = sum(by_click.values(), Tally())
    values = {
        "since": since,
        "until": until,
        "revenue": {
            "amount": as_money(first.revenue.amount, first.currency),
            "before": as_money(first.revenue_before.amount, first.currency),
            "originals": money_list(first.now.revenue),
            "missing": list(first.revenue.missing),
        },
        "sent": {"count": first.now.sent, "before": first.before.sent},
        "network_accepted": {"count": first.now.accepted, "before": first.before.accepted},
        "events_accepted": events.accepted,
        "events_rejected": events.rejected,
        "rejections_listed": rejections_listed(game, since, until).count(),
        "conversions": tally_values(total),
        "attributed": total.count - by_click.get("", Tally()).count,
        "clicks": [
            {"network": network, **tally_values(tally)} for network, tally in sorted(by_click.items()) if tally.count
        ],
        "networks": [
            _network(totals) for totals in delivery_totals.by_network(game, configs, since=since, until=until)
        ],
        "oldest_undigested_at": backlog.lag_since,
        "oldest_due_at": backlog.due_since,
    }
    return {**values, "definitions": definitions_of([*values, *STATUSES, "success_rate"])}


def _network(totals: NetworkTotals) -> dict[str, Any]:
    return {
        "network": totals.network.kind,
        "sent": totals.sent,
        "network_accepted": totals.accepted,
        **{status: getattr(totals, status) for status in STATUSES},
        "success_rate": totals.rate,
        "p95_latency_ms": totals.p95,
        "oldest_due_at": totals.due_since,
    }
