"""The metrics for Prometheus: counters of the web processes, and the lengths of the queues.

Queues are counted during the scrape; each query uses a partial index of open work.
"""

import os
from collections.abc import Iterator

from django.db import DatabaseError
from django.db.models import Count, Min
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from audience.database import clock
from audience.models import Batch, BatchState, Conversion, FailedWork, Queue
from config import metric_files
from postbacks.models import (
    Delivery,
    DeliveryState,
    HookMessage,
    MessageState,
    Notice,
    NoticeState,
    PostbackConfig,
)
from postbacks.monitoring.server import server_troubles
from postbacks.monitoring.server.trouble import TroubleKind


def web_counters() -> CollectorRegistry:
    """Collect the counters of all web processes of this machine if PROMETHEUS_MULTIPROC_DIR names their shared folder,
    else of this process.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return REGISTRY
    metric_files.flush()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    return registry


class QueueCollector(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            # All or none, since the database may become unavailable between two queries.
            yield from list(self._gauges())
        except DatabaseError:
            # The scrape reports that the database is unavailable instead of failing.
            yield GaugeMetricFamily("afterclick_database_up", "1 when the database answers.", value=0)

    def _gauges(self) -> Iterator[GaugeMetricFamily]:
        pending = Batch.objects.filter(state=BatchState.PENDING).aggregate(count=Count("id"), since=Min("received_at"))
        age = (clock.now() - pending["since"]).total_seconds() if pending["since"] else 0
        failed = Batch.objects.filter(state=BatchState.FAILED).count()
        not_fanned_out = Conversion.objects.to_fan_out().order_by().count()
        waiting = Delivery.objects.filter(state=DeliveryState.WAITING)
        due = waiting.aggregate(count=Count("id"), since=Min("next_attempt_at"))
        overdue = max((clock.now() - due["since"]).total_seconds(), 0) if due["since"] else 0
        held = Delivery.objects.filter(state=DeliveryState.HELD).count()
        on_hold = PostbackConfig.objects.kept().filter(held_at__isnull=False).count()
        unsent_notices = Notice.objects.filter(state=NoticeState.WAITING).count()
        unsent_messages = HookMessage.objects.filter(state=MessageState.WAITING).count()
        for name, description, value in (
            ("database_up", "1 when the database answers.", 1),
            ("batches_pending", "Requests accepted and not yet processed.", pending["count"]),
            ("digest_lag_seconds", "Age of the oldest request not yet processed.", age),
            ("batches_failed", "Requests set aside after the last attempt to process them.", failed),
            ("conversions_pending", "Conversions not yet fanned out.", not_fanned_out),
            ("deliveries_waiting", "Postbacks waiting for their next attempt.", due["count"]),
            ("oldest_waiting_delivery_seconds", "Time since the oldest due attempt of a postback was due.", overdue),
            ("deliveries_held", "Postbacks on hold until their credential is accepted, or a user releases them.", held),
            (
                "configs_on_hold",
                "Postback settings on hold: the network refuses the credential, or a user put them on hold.",
                on_hold,
            ),
            ("notices_waiting", "Messages about alerts waiting for their next attempt.", unsent_notices),
            ("hook_messages_waiting", "Messages to webhooks about conversions and erasures waiting.", unsent_messages),
        ):
            yield GaugeMetricFamily(f"afterclick_{name}", description, value=value)
        yield _set_aside(failed)
        yield _troubles()

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing, so that registering makes no query."""
        return []


def _set_aside(batches: int) -> GaugeMetricFamily:
    """Return the number of rows set aside per queue, zeros included; `digest` counts requests."""
    description = "Rows set aside after their last attempt, by queue."
    gauge = GaugeMetricFamily("afterclick_set_aside", description, labels=["queue"])
    rows = FailedWork.objects.set_aside().values("queue").annotate(number=Count("pk"))
    counts = {row["queue"]: row["number"] for row in rows}
    for queue, number in {"digest": batches, **{queue: counts.get(queue, 0) for queue in Queue.values}}.items():
        gauge.add_metric([queue], number)
    return gauge


def _troubles() -> GaugeMetricFamily:
    """Return all server troubles (postbacks/monitoring), zeros included."""
    description = "Requests, conversions, tables or processes affected by a server trouble; 0 without it."
    gauge = GaugeMetricFamily("afterclick_server_trouble", description, labels=["kind"])
    counts = {trouble.kind: trouble.count for trouble in server_troubles.find_troubles()}
    for kind in TroubleKind:
        gauge.add_metric([kind.value], counts.get(kind, 0))
    return gauge
