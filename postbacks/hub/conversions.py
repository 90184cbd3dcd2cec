"""Conversions, newest first: each says where it went, or why it went nowhere."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Prefetch
from django.http import HttpResponse

from audience.hub.access import HubRequest, game_view, page
from audience.hub.filters import choice
from audience.hub.paging import newest
from audience.models import Conversion, Membership, Reason, Trigger
from postbacks.models import Delivery, DeliveryState
from postbacks.networks import NETWORKS

TRIGGERS = (("", "All events"), *Trigger.choices)
# The word of a delivery's state, and its dot. A skipped one is told by the conversion's own reason.
WORDS = {
    DeliveryState.DELIVERED: ("Delivered", "good"),
    DeliveryState.WAITING: ("Waiting", "busy"),
    DeliveryState.FAILED: ("Failed", "bad"),
    DeliveryState.CANCELLED: ("Not sent", ""),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a conversion on one postback, or, with no `network`, altogether."""

    word: str
    dot: str
    network: str = ""
    reason: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    conversion: Conversion
    click: str
    outcomes: list[Outcome]


@game_view()
def conversions(request: HubRequest, membership: Membership) -> HttpResponse:
    trigger = choice(request, "event", label="Event", choices=TRIGGERS)
    deliveries = Delivery.objects.order_by("created_at").prefetch_related("attempts")
    rows = Conversion.objects.filter(game=membership.game).select_related("touch")
    rows = rows.prefetch_related(Prefetch("deliveries", deliveries))
    if trigger.chosen:
        rows = rows.filter(trigger=trigger.chosen)
    before = request.GET.get("before", "")
    found = newest(rows, by="event_at", before=before, key=UUID)
    template = "hub/_conversion_rows.html" if request.htmx else "hub/conversions.html"
    context = {"rows": [row_of(conversion) for conversion in found.rows], "older": found.older, "before": before}
    return page(request, template, membership, filters=[trigger], **context)


def row_of(conversion: Conversion) -> Row:
    """Read a conversion with its touch and its deliveries, which the query has fetched."""
    click = label(conversion.touch.network) if conversion.touch else ""
    return Row(conversion=conversion, click=click, outcomes=outcomes(conversion))


def outcomes(conversion: Conversion) -> list[Outcome]:
    """One for every postback that was tried or called off; when there was none, why not."""
    found = [_outcome(delivery) for delivery in conversion.deliveries.all() if delivery.state in WORDS]
    if found:
        return found
    if conversion.fanned_out_at is None:
        return [Outcome("Waiting", "busy", reason="About to be decided")]
    reason = Reason(conversion.reason).label if conversion.reason else "No postback is set up for this game"
    return [Outcome("Not sent", "", reason=reason)]


def _outcome(delivery: Delivery) -> Outcome:
    word, dot = WORDS[DeliveryState(delivery.state)]
    attempts = sorted(delivery.attempts.all(), key=lambda attempt: attempt.number)
    return Outcome(
        word=word,
        dot=dot,
        network=label(delivery.network),
        reason=delivery.get_reason_display() if delivery.reason else "",
        said=attempts[-1].message if attempts and delivery.state != DeliveryState.DELIVERED else "",
    )


def label(network: str) -> str:
    """The name of a network, also of one that attribution knows and no postback serves."""
    return NETWORKS[network].label if network in NETWORKS else network.capitalize()
