"""The delivery log of one network: every attempt, newest first, with filters in the URL, and its CSV export."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404

from audience.database import clock
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.masking import masked
from audience.models import Game, Membership
from postbacks.hub.delivery_log.filters import log_filter, read_filters
from postbacks.hub.delivery_log.rows import log_row
from postbacks.hub.toolkit.network_pages import base_template, network_or_404
from postbacks.models import DeliveryAttempt, DeliveryState, PostbackConfig
from postbacks.networks.interface.network import Network
from postbacks.reporting import attempt_export, attempt_log, stuck_rows
from postbacks.reporting.labels import outcome_label
from postbacks.reporting.waits import flows_of, wait_of


def log_context(request: HubRequest, membership: Membership, network: Network, configs: list[UUID]) -> dict[str, Any]:
    """Return the requested page of the log with its filters, masked for the member."""
    game, filters = membership.game, read_filters(request, membership.game)
    log, addresses = attempt_log.newest(configs, log_filter(filters, game, configs)), sees_addresses(membership)
    return {
        "network": network,
        "attempts": log,
        "rows": [log_row(attempt, addresses=addresses) for attempt in log.rows],
        "filters": filters,
        "before": filters.before,
        # A method, so that the query runs only if the log is empty.
        "has_postback": PostbackConfig.objects.kept().filter(game=game, network=network.kind).exists,
        "shows_pixels": len(configs) > 1,
    }


def config_ids(game: Game, network: str) -> list[UUID]:
    """Return the ids of the game's postbacks on this network, deleted ones included."""
    return list(PostbackConfig.objects.filter(game=game, network=network).values_list("pk", flat=True))


@game_view()
def log_export(request: HubRequest, membership: Membership, network: str) -> StreamingHttpResponse:
    """Return all pages of the filtered log as CSV. Allowed for viewers, since players are identified by ids only."""
    ad_network, game = network_or_404(network), membership.game
    configs, filters = config_ids(game, network), replace(read_filters(request, game), before="")
    lines = attempt_export.lines(configs, log_filter(filters, game, configs), addresses=sees_addresses(membership))
    name = f"deliveries-{game.slug}-{ad_network.kind}-{clock.now():%Y-%m-%d}.csv"
    return spreadsheet.streamed(lines, name=name, content_type="text/csv; charset=utf-8")


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
