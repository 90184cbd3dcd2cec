"""The query parameters of attempts and deliveries, and the filters that they stand for."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework import serializers

from audience.api.toolkit.queries import PagedQuery, PeriodQuery, times_of
from audience.database import clock
from audience.hub.toolkit.date_range import BEGINNING, END, LABELS, LAST_HOUR, PRESETS, preset_bounds
from audience.models import Game, Reason
from postbacks.models import AttemptStatus, DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Verdict
from postbacks.reporting import attempt_log
from postbacks.reporting.attempt_log import LogFilter
from postbacks.reporting.delivery_list import DeliveryFilter

KINDS = [(kind, kind) for kind in NETWORKS]
STATUSES = [(status.value, status.label) for status in AttemptStatus if status != AttemptStatus.SENDING]
VERDICTS = (Verdict.TRANSIENT.value, Verdict.CREDENTIAL.value, Verdict.PAYLOAD.value)
RANGES = [(key, LABELS[key]) for key in (LAST_HOUR, *PRESETS)]
DEFAULT_RANGE = "24h"
MAX_QUERY_LENGTH = 2048


class _DeliveriesQuery(PagedQuery, PeriodQuery):
    """What both lists are filtered by."""

    range = serializers.ChoiceField(RANGES, required=False, help_text="Instead of `from` and `to`.")
    network = serializers.ChoiceField(KINDS, required=False)
    postback = serializers.UUIDField(required=False, help_text="Deleted ones too.")
    event = serializers.CharField(required=False, max_length=256, help_text="The name of the trigger event.")
    state = serializers.ChoiceField(DeliveryState.choices, required=False, help_text="Of the delivery now.")
    q = serializers.CharField(
        required=False,
        max_length=MAX_QUERY_LENGTH,
        help_text="The id of a conversion, message, order, click or player, or an email address, at all times.",
    )

    def validate(self, attrs: Any) -> Any:
        if attrs.get("range") and (attrs.get("from") or attrs.get("to")):
            raise serializers.ValidationError({"range": ["Use either a range, or from and to."]})
        return attrs


class AttemptQuery(_DeliveriesQuery):
    """Filters of attempts by the time at which they began; those of the last 24 hours by default."""

    status = serializers.ChoiceField(STATUSES, required=False)
    reason = serializers.ChoiceField(
        [choice for choice in attempt_log.REASONS if choice[0]],
        required=False,
        help_text="Why the attempt was refused, or why its delivery ended.",
    )


class DeliveryQuery(_DeliveriesQuery):
    """Filters of deliveries by the time of their event; those of the last 24 hours by default."""

    reason = serializers.ChoiceField(
        [*Reason.choices, *((verdict, verdict) for verdict in VERDICTS)],
        required=False,
        help_text="Why it is not sent, or the kind of the network's last answer.",
    )
    conversion = serializers.UUIDField(required=False, help_text="Of any time.")


def config_ids(game: Game, query: Mapping[str, Any]) -> list[UUID]:
    """Return the ids of the postbacks that are listed, deleted ones included."""
    rows = PostbackConfig.objects.filter(game=game)
    rows = rows.filter(network=query["network"]) if "network" in query else rows
    rows = rows.filter(pk=query["postback"]) if "postback" in query else rows
    return list(rows.values_list("pk", flat=True))


def log_filter(game: Game, query: Mapping[str, Any], configs: list[UUID], *, before: str) -> LogFilter:
    """Return the filter of attempts."""
    since, until = _period(game, query)
    text = query.get("q", "")
    return LogFilter(
        since=since,
        until=until,
        before=before,
        deliveries=attempt_log.deliveries_found(game, configs, text) if text else None,
        **{name: query.get(name, "") for name in ("status", "event", "state", "reason")},
    )


def delivery_filter(game: Game, query: Mapping[str, Any]) -> DeliveryFilter:
    """Return the filter of deliveries."""
    since, until = _period(game, query)
    names = ("network", "event", "state", "reason")
    filters = {name: query.get(name, "") for name in names}
    return DeliveryFilter(since=since, until=until, postback=query.get("postback"), **filters)


def _period(game: Game, query: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return [since, until); of all times for a search."""
    if query.get("q") or query.get("conversion"):
        return BEGINNING, END
    zone, now = query.get("zone") or game.zone, clock.now()
    if "from" in query or "to" in query:
        return times_of(query, zone=zone, now=now, days=1)
    return preset_bounds(query.get("range", DEFAULT_RANGE), zone, now=now)
