"""The delivery log of one network: every attempt, newest first."""

from datetime import timedelta

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from audience.hub.access import HubRequest, game_view, page
from audience.hub.filters import Filter, choice
from audience.hub.paging import Page, newest
from audience.models import Game, Membership
from postbacks.hub.networks import network_or_404
from postbacks.models import AttemptStatus, DeliveryAttempt, PostbackConfig

RANGES = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
}
DEFAULT_RANGE = "24h"
STATUSES = (
    ("", "All"),
    *((status.value, status.label) for status in AttemptStatus if status != AttemptStatus.SENDING),
)


def filters(request: HubRequest) -> tuple[Filter, Filter]:
    """`range` and `status` of the URL."""
    ranges = [(value, text) for value, (text, _) in RANGES.items()]
    return (
        choice(request, "range", label="Time range", choices=ranges, default=DEFAULT_RANGE),
        choice(request, "status", label="Status", choices=STATUSES),
    )


def attempts(game: Game, network: str) -> QuerySet[DeliveryAttempt]:
    """Attempts of every postback the game has or had on this network."""
    # A list, so that PostgreSQL reads the index (config, -started_at) instead of joining.
    configs = list(PostbackConfig.objects.filter(game=game, network=network).values_list("pk", flat=True))
    found = DeliveryAttempt.objects.filter(config__in=configs)
    return found.select_related("delivery", "config").defer("config__credential")


def read(request: HubRequest, game: Game, network: str, period: Filter, status: Filter) -> Page[DeliveryAttempt]:
    rows = attempts(game, network).filter(started_at__gte=timezone.now() - RANGES[period.chosen][1])
    if status.chosen:
        rows = rows.filter(status=status.chosen)
    return newest(rows, by="started_at", before=request.GET.get("before", ""), key=int)


@game_view()
def attempt_detail(request: HubRequest, membership: Membership, network: str, pk: int) -> HttpResponse:
    found = network_or_404(network)
    attempt = get_object_or_404(attempts(membership.game, network), pk=pk)
    siblings = attempt.delivery.attempts.order_by("number")
    return page(request, "hub/attempt.html", membership, network=found, attempt=attempt, siblings=siblings)
