"""Sends waiting deliveries at once, before their next attempt and before the pause of their pixel ends.

During a pause one call is a probe; the others follow if the network accepts it, else the pixel pauses again.
"""

import uuid

import structlog
from auditlog.models import LogEntry
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest

from audience.accounts import audit_log
from audience.accounts.audit_log import Changes
from audience.background.wakeup import wake
from audience.database import clock
from postbacks.configs.sending_state import block_of
from postbacks.delivery import breaker, replay_rows
from postbacks.models import Delivery, DeliveryState, Flow, PostbackConfig
from postbacks.outbox.fan_out import DELIVER_TASK

logger = structlog.get_logger(__name__)

NOTHING_WAITS = "The delivery cannot be sent now: it has ended, is being sent, or the network accepts it only later."


class NotTryable(Exception):
    """Why nothing can be sent now, as a sentence for the user."""


def try_delivery(delivery: Delivery) -> None:
    """Make a waiting delivery due and end the pause of its pixel. Raises NotTryable."""
    changes = {"delivery": (str(delivery.pk), "sent now")}
    _try(delivery.config_id, Delivery.objects.filter(pk=delivery.pk), changes)


def try_config(config: PostbackConfig) -> int:
    """As `try_delivery`, with all waiting deliveries of a postback; returns how many."""
    return _try(config.pk, Delivery.objects.filter(config=config), {"deliveries": ("waiting", "sent now")})


@transaction.atomic
def _try(config_id: uuid.UUID, rows: QuerySet[Delivery], changes: Changes) -> int:
    # Locked in the order of a claim: the config, the flow, the deliveries.
    config, now = replay_rows.lock_config(config_id), clock.now()
    if block := block_of(config, now=now):
        raise NotTryable(block)
    flow = Flow.objects.select_for_update().filter(network=config.network, pixel_id=config.flow_pixel).first()
    unleased, accepted = Q(leased_until=None) | Q(leased_until__lt=now), Q(not_before=None) | Q(not_before__lte=now)
    waiting = rows.filter(unleased, accepted, state=DeliveryState.WAITING).select_for_update(of=("self",))
    ids = list(waiting.order_by("pk").values_list("pk", flat=True))
    if not ids:
        raise NotTryable(NOTHING_WAITS)
    if flow is not None and flow.pause_end(now):
        breaker.end_pause(flow, now)
        flow.save(update_fields=["failures", "open_until", "probing", "next_slot_at", "asked_until"])
    # An attempt that somebody asks for uses up none of the schedule.
    delayed = Delivery.objects.filter(pk__in=ids, next_attempt_at__gt=now)
    delayed.update(next_attempt_at=now, attempts_counted=Greatest(F("attempts_counted") - 1, 0))
    audit_log.record(game=config.game, subject=config, action=LogEntry.Action.UPDATE, changes=changes)
    wake(DELIVER_TASK, config.network)
    logger.info("tried_now", config_id=str(config.pk), deliveries=len(ids))
    return len(ids)
