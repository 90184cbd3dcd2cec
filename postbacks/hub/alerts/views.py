"""The alerts of a game: the member's choice, webhooks, and recent alerts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.date_range import ALL, PRESETS, read_range
from audience.hub.toolkit.paging import newest
from audience.hub.toolkit.range_input import range_parameters
from audience.models import Membership
from audience.wording import time_zones
from postbacks.hub.alerts.forms import ChoiceForm
from postbacks.hub.alerts.hook_views import hook_rows
from postbacks.models import Alert, AlertFrequency, Notice
from postbacks.monitoring.alerts import hooks, labels, listed, recipients
from postbacks.monitoring.health.types import Health

MAX_NOTICES = 10


@dataclass(frozen=True, slots=True)
class AlertRow:
    """`period` is from when to when it was on, `query` that of the delivery log for this time."""

    alert: Alert
    label: str
    period: str
    query: str


@game_view()
def alerts(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    frequency = recipients.choice_of(game=game, user=request.user, role=membership.role)
    now = clock.now()
    dates = read_range(request, now=now, default=ALL, presets=(ALL, *PRESETS))
    rows = listed.alerts_of(game) if dates.is_all else listed.alerts_between(game, dates.since, dates.until)
    shown = newest(rows, by="opened_at", before=request.GET.get("before", ""))
    notices = Notice.objects.filter(Q(user=request.user) | Q(hook__isnull=False), game=game)
    context: dict[str, Any] = {
        "form": ChoiceForm(initial={"told": frequency}),
        "email": request.user.email,
        "hooks": [] if request.htmx else hook_rows(game, now),
        "notices": [
            (notice, hooks.host_of(notice.hook.url) if notice.hook else "You")
            for notice in notices.select_related("hook", "alert__config", "key").order_by("-created_at")[:MAX_NOTICES]
        ],
        "alerts": [_row(alert, now) for alert in shown.rows],
        "period": dates,
        "older": shown.older,
        "before": request.GET.get("before", ""),
    }
    template = "hub/alerts/_rows.html" if request.htmx else "hub/alerts/page.html"
    return page(request, template, membership, **context)


def _row(alert: Alert, now: datetime) -> AlertRow:
    query = urlencode(range_parameters(alert.opened_at, alert.recovered_at or now, time_zones.current()))
    return AlertRow(alert, Health(alert.health).label, labels.period(alert, now), query)


@game_view(methods=("POST",))
def alert_choice(request: HubRequest, membership: Membership) -> HttpResponse:
    """Change the member's choice; allowed for viewers too."""
    form = ChoiceForm(request.POST)
    if form.is_valid():
        frequency = AlertFrequency(form.cleaned_data["told"])
        recipients.choose(game=membership.game, user=request.user, frequency=frequency)
        messages.success(request, f"Saved: {frequency.label[0].lower()}{frequency.label[1:]}.")
    else:
        messages.error(request, "Nothing was saved. Select one of the four options.")
    return redirect("alerts", slug=membership.game.slug)
