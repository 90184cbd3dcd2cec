"""A game at a glance: the last 24 hours, the health of its postbacks, and what to do next."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q, Sum
from django.http import HttpResponse
from django.utils import timezone

from audience.hub.access import HubRequest, game_view, page
from audience.models import ApiKey, Batch, Conversion, Game, Membership, Touch
from postbacks.hub.listing import ConfigRow, config_rows
from postbacks.models import Delivery, DeliveryState
from postbacks.networks import NETWORKS
from postbacks.networks.base import Network

PERIOD = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one network's deliveries."""

    network: Network
    configs: list[ConfigRow]
    delivered: int
    waiting: int
    failed: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step from an empty game to the first postback."""

    text: str
    done: bool
    url_name: str


@game_view()
def overview(request: HubRequest, membership: Membership) -> HttpResponse:
    game, since = membership.game, timezone.now() - PERIOD
    batches = Batch.objects.filter(game=game, received_at__gte=since)
    intake = batches.aggregate(accepted=Sum("accepted", default=0), rejected=Sum("rejected", default=0))
    conversions = Conversion.objects.filter(game=game, created_at__gte=since).aggregate(
        total=Count("pk"), attributed=Count("pk", filter=Q(touch__isnull=False))
    )
    sent = sent_by_network(game, since)
    template = "hub/_overview.html" if request.htmx else "hub/overview.html"
    totals = {"intake": intake, "conversions": conversions, "delivered": sum(row.delivered for row in sent)}
    return page(request, template, membership, sent=sent, steps=steps(game), **totals)


def sent_by_network(game: Game, since: datetime) -> list[Sent]:
    """Deliveries made since then and the postbacks in place, for every network there is."""
    states = (DeliveryState.DELIVERED, DeliveryState.WAITING, DeliveryState.FAILED)
    made = Delivery.objects.filter(config__game=game, created_at__gte=since, state__in=states)
    counts = {(kind, state): count for kind, state, count in made.values_list("network", "state").annotate(Count("pk"))}
    configs = config_rows(game)
    return [
        Sent(
            network=network,
            configs=[row for row in configs if row.config.network == kind],
            delivered=counts.get((kind, DeliveryState.DELIVERED), 0),
            waiting=counts.get((kind, DeliveryState.WAITING), 0),
            failed=counts.get((kind, DeliveryState.FAILED), 0),
        )
        for kind, network in NETWORKS.items()
    ]


def steps(game: Game) -> list[Step]:
    """The way to the first postback; empty once all of it is walked."""
    found = [
        Step("Create an API key", ApiKey.objects.live().filter(game=game).exists(), "keys"),
        Step("Send the first event", Batch.objects.filter(game=game, accepted__gt=0).exists(), "events"),
        Step("Capture an ad click", Touch.objects.filter(game=game).exists(), "events"),
        Step("Add a conversion postback", _has_postback(game), "integrations"),
        Step("See the first delivery arrive", _has_delivery(game), "conversions"),
    ]
    return [] if all(step.done for step in found) else found


def _has_postback(game: Game) -> bool:
    return game.postback_configs.filter(deleted_at=None).exists()


def _has_delivery(game: Game) -> bool:
    return Delivery.objects.filter(config__game=game, state=DeliveryState.DELIVERED).exists()
