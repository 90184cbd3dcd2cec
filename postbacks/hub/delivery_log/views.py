"""The delivery log of one network: every attempt, newest first, with filters in the URL."""

from datetime import timedelta
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.filters import Filter, choice
from audience.hub.toolkit.masking import masked
from audience.models import Game, Membership, trigger_label
from audience.models.goals import conversion_event_names
from postbacks.hub.delivery_log import attempts
from postbacks.hub.toolkit.network_pages import base_template, network_or_404
from postbacks.models import AttemptStatus, DeliveryAttempt, DeliveryState, PostbackConfig
from postbacks.reporting import stuck_rows
from postbacks.reporting.labels import outcome_label
from postbacks.reporting.waits import flows_of, wait_of

PERIODS = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
}
DEFAULT_PERIOD = "24h"
STATUSES = (
    ("", "All"),
    *((status.value, status.label) for status in AttemptStatus if status != AttemptStatus.SENDING),
)


def filters(request: HubRequest, game: Game) -> tuple[Filter, Filter, Filter]:
    """Return the filters `range`, `status` and `event` of the URL."""
    ranges = [(value, text) for value, (text, _) in PERIODS.items()]
    events = [("", "All events"), *((name, trigger_label(name)) for name in sorted(conversion_event_names(game=game)))]
    return (
        choice(request, "range", label="Time range", choices=ranges, default=DEFAULT_PERIOD),
        choice(request, "status", label="Status", choices=STATUSES),
        choice(request, "event", label="Event", choices=events),
    )


def read_log(
    request: HubRequest, membership: Membership, config_ids: list[UUID], filters: tuple[Filter, Filter, Filter]
) -> attempts.Log:
    """Return the requested page of the log, masked for the member."""
    period, status, event = (each.chosen for each in filters)
    log_filter = attempts.LogFilter(
        since=clock.now() - PERIODS[period][1],
        status=status,
        event=event,
        before=request.GET.get("before", ""),
    )
    log = attempts.newest(config_ids, log_filter)
    for row in log.rows:
        _mask_message(row, membership)
    return log


def config_ids(game: Game, network: str) -> list[UUID]:
    """Return the ids of the game's postbacks on this network, deleted ones included."""
    return list(PostbackConfig.objects.filter(game=game, network=network).values_list("pk", flat=True))


@game_view()
def attempt_detail(request: HubRequest, membership: Membership, network: str, pk: int) -> HttpResponse:
    """Show one attempt, as a page or in the side panel."""
    ad_network = network_or_404(network)
    rows = DeliveryAttempt.objects.filter(config__game=membership.game, config__network=network)
    rows = rows.select_related("delivery", "config").defer("config__credential", "config__previous_credential")
    attempt = get_object_or_404(rows.defer("payload"), pk=pk)
    siblings = list(attempt.delivery.attempts.defer("payload").order_by("number"))
    for row in (attempt, *siblings):
        _mask_message(row, membership)
    delivery = attempt.delivery
    is_special = delivery.is_unknown or delivery.confirmation
    state_label = outcome_label(delivery)[0] if is_special else delivery.get_state_display()
    stuck = stuck_rows.find_stuck(delivery.game_id, [delivery.pk]) if delivery.state == DeliveryState.WAITING else {}
    delivery.config = attempt.config
    wait = None if stuck else wait_of(delivery, flows_of([attempt.config]), clock.now())
    context = {
        "network": ad_network,
        "attempt": attempt,
        "wait": wait,
        "next_attempt_at": wait.until if wait else delivery.next_attempt_at,
        "event_id": masked(delivery.event_id, addresses=sees_addresses(membership)),
        "siblings": siblings,
        "state_label": state_label,
        "stuck": stuck.get(delivery.pk),
        "base_template": base_template(request),
    }
    return page(request, "hub/delivery_log/attempt.html", membership, **context)


def _mask_message(attempt: DeliveryAttempt, membership: Membership) -> None:
    """Mask email addresses, which a network may repeat, in the message of this instance; nothing is saved."""
    attempt.message = masked(attempt.message, addresses=sees_addresses(membership))
