"""Why a waiting delivery is not sent yet, and until when: its retry, or a pause of its postback or pixel."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from postbacks.models import Delivery, DeliveryState, Flow, PostbackConfig
from postbacks.reporting.labels import asked_wait, clock_time

# By network and pixel.
Flows = dict[tuple[str, str], Flow]
# The end of a cause, and its sentence.
Cause = tuple[datetime, str]
SUSPECTED = "The network just refused the credential of this postback. The credential is checked again within a minute."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """`until` is when the delivery may be sent, None if that is not known; `cause` is a sentence, '' for a retry of the
    schedule. `can_end`: whether it can be sent sooner (postbacks/delivery/try_now.py)."""

    until: datetime | None
    cause: str
    can_end: bool


def flows_of(configs: Iterable[PostbackConfig]) -> Flows:
    """Return the flows of the pixels of these configs, in one query; without a query if there are none."""
    pixels = Q()
    for config in configs:
        pixels |= Q(network=config.network, pixel_id=config.flow_pixel)
    return {(row.network, row.pixel_id): row for row in Flow.objects.filter(pixels)} if pixels else {}


def wait_of(delivery: Delivery, flows: Flows, now: datetime) -> Wait | None:
    """Return what the delivery waits for; None if it is due, is being sent or does not wait. Reads `config`."""
    config = delivery.config
    is_leased = delivery.leased_until is not None and delivery.leased_until > now
    if delivery.state != DeliveryState.WAITING or is_leased or not config.enabled or config.deleted_at:
        return None
    if config.suspected_at:
        return Wait(until=None, cause=SUSPECTED, can_end=False)
    flow = flows.get((config.network, config.flow_pixel))
    causes = [*_retry(delivery, now), *(_pause_of_pixel(flow, config, now) if flow else ())]
    if config.paused_until and config.paused_until >= now:
        end = clock_time(config.paused_until, now)
        causes.append(
            (config.paused_until, f"The settings of the postback are being changed. Nothing is sent until {end}.")
        )
    if not causes:
        return None
    until, cause = max(causes)
    is_fixed = until in (config.paused_until, delivery.not_before)
    return Wait(until=until, cause=cause, can_end=not is_fixed)


def _retry(delivery: Delivery, now: datetime) -> list[Cause]:
    next_at, label = delivery.next_attempt_at, delivery.config.kind.label
    if next_at is None or next_at <= now:
        return []
    if delivery.not_before == next_at:
        return [(next_at, f"{label} does not accept this event before {clock_time(next_at, now)}.")]
    if delivery.asked_until and delivery.asked_until > now:
        return [(next_at, asked_wait(label, asked_until=delivery.asked_until, until=next_at, now=now))]
    return [(next_at, "")]


def _pause_of_pixel(flow: Flow, config: PostbackConfig, now: datetime) -> list[Cause]:
    label, until = config.kind.label, flow.pause_end(now)
    if until is None:
        return []
    end = clock_time(until, now)
    if until == flow.open_until:
        return [(until, f"{label} failed several times in a row. Nothing is sent to this pixel until {end}.")]
    if flow.asked_until:
        return [(until, asked_wait(label, asked_until=flow.asked_until, until=until, now=now))]
    return [(until, f"{label} responded with “too many requests”. Nothing is sent to this pixel until {end}.")]
