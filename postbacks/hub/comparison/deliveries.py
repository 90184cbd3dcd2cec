"""The list of the deliveries behind a number of the comparison with a network."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.filters import parse_uuid, search_text
from audience.hub.toolkit.masking import masked
from audience.hub.toolkit.paging import newest
from audience.hub.toolkit.range_input import RangeError, has_range
from audience.models import Game, Membership, trigger_label
from audience.wording.days import Days, last_days
from audience.wording.time_zones import zone_or_utc
from postbacks.hub.comparison.dates import read_days
from postbacks.hub.toolkit.network_pages import compared_configs, network_or_404
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState, PostbackConfig
from postbacks.reporting.comparison import deliveries_of
from postbacks.reporting.figure_rows import POSTBACK, find, postback_figure
from postbacks.reporting.labels import outcome_label

MAX_EVENT_LENGTH, CURRENCY_LENGTH = 256, 3
DEFAULT_FIGURE, DEFAULT_DAYS = "eligible", 7


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """`player` is masked; `message` is what the network answered last to a delivery that it did not accept."""

    delivery: Delivery
    event: str
    label: str
    dot: str
    player: str
    message: str


@game_view()
def deliveries(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Show the deliveries of `?postback=` that the figure `?only=` counts, of some days and of one event or of all."""
    ad_network = network_or_404(network)
    config = _config(request, membership.game, network)
    if config is None:
        return redirect("comparison", slug=membership.game.slug, network=network)
    event, key = search_text(request, "event", length=MAX_EVENT_LENGTH), request.GET.get("only", "")
    key = key if postback_figure(key) else DEFAULT_FIGURE
    label, condition = postback_figure(key) or ("", Q())
    days = _days(request, config)
    rows = deliveries_of(config, since=days.starts[0], until=days.starts[-1]).filter(condition)
    rows = rows.filter(trigger=event) if event else rows
    currency = search_text(request, "currency", length=CURRENCY_LENGTH)
    rows = rows.filter(conversion__currency=currency) if currency else rows
    before = request.GET.get("before", "")
    listed = newest(with_answers(rows), by="event_at", before=before)
    context: dict[str, Any] = {
        "network": ad_network,
        "config": config,
        "title": f"{label} ({currency})" if currency else label,
        "explained": find(f"{POSTBACK}{key}"),
        "event": masked(trigger_label(event), addresses=sees_addresses(membership)) if event else "",
        "days": days,
        "rows": [_row(row, addresses=sees_addresses(membership)) for row in listed.rows],
        "older": listed.older,
        "before": before,
    }
    return page(request, "hub/comparison/deliveries.html", membership, **context)


def _days(request: HubRequest, config: PostbackConfig) -> Days:
    """Return the days of the URL; the last days if it has none that can be read."""
    zone = zone_or_utc(config.time_zone)
    try:
        if has_range(request.GET):
            return read_days(request, zone)
    except RangeError:
        pass
    return last_days(DEFAULT_DAYS, zone, now=clock.now())


def _config(request: HubRequest, game: Game, network: str) -> PostbackConfig | None:
    """Return the postback of the URL, which may be deleted, or else the first one; None if there is none."""
    if chosen := request.GET.get("postback", ""):
        configs = PostbackConfig.objects.filter(game=game, network=network)
        return get_object_or_404(configs.defer("credential", "previous_credential"), pk=parse_uuid(chosen))
    return compared_configs(game, network).first()


def with_answers(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Return `rows` with everything that the list shows."""
    attempts = DeliveryAttempt.objects.defer("payload").order_by("number")
    return rows.select_related("conversion").prefetch_related(Prefetch("attempts", attempts))


def _row(delivery: Delivery, *, addresses: bool) -> DeliveryRow:
    label, dot = outcome_label(delivery)
    conversion, messages = delivery.conversion, [attempt.message for attempt in delivery.attempts.all()]
    player = f"Player {str(conversion.person_id)[:8]}" if conversion else ""
    is_accepted = delivery.state == DeliveryState.DELIVERED
    return DeliveryRow(
        delivery=delivery,
        event=masked(delivery.trigger_label, addresses=addresses),
        label=label,
        dot=dot,
        player=masked(conversion.user_id, addresses=addresses) or player if conversion else "",
        message=masked(messages[-1], addresses=addresses) if messages and not is_accepted else "",
    )
