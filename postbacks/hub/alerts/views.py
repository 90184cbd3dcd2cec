"""The alerts of a game: the member's choice, webhooks, and recent alerts.

A webhook's secret is shown once, in the response that created it. Its URL is for admins, since the path may be secret.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.debug import sensitive_variables

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.confirmation import TypedName
from audience.hub.toolkit.date_range import ALL, PRESETS, read_range
from audience.hub.toolkit.paging import newest
from audience.hub.toolkit.range_input import range_parameters
from audience.models import Membership, Role
from audience.wording import time_zones
from postbacks.models import Alert, AlertFrequency, AlertHook, Notice
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


class ChoiceForm(forms.Form):
    """How the member receives alerts."""

    told = forms.ChoiceField(label="Email me about alerts", choices=AlertFrequency.choices, widget=forms.RadioSelect)


class HookForm(forms.Form):
    """The URL of a webhook."""

    url = forms.CharField(
        label="URL",
        max_length=500,
        help_text="An https:// URL of your own server, or of a chat server that accepts JSON with a “text”.",
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://"}),
    )


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
        "hooks": [(hook, hooks.host_of(hook.url)) for hook in AlertHook.objects.filter(game=game).order_by("pk")],
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
    return _back(membership)


@sensitive_variables("secret")
@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def hook_add(request: HubRequest, membership: Membership) -> HttpResponse:
    form = HookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            hook, secret = hooks.add_hook(game=membership.game, url=form.cleaned_data["url"], created_by=request.user)
            return page(request, "hub/alerts/hook_made.html", membership, hook=hook, value=secret)
        except hooks.HookRefused as refused:
            form.add_error("url", str(refused))
    return page(request, "hub/alerts/hook_add.html", membership, form=form)


@game_view(role=Role.ADMIN, methods=("POST",))
def hook_enable(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    return _set_enabled(request, membership, pk, enabled=True)


@game_view(role=Role.ADMIN, methods=("POST",))
def hook_disable(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    return _set_enabled(request, membership, pk, enabled=False)


@game_view(role=Role.ADMIN, methods=("POST",))
def hook_test(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    hooks.request_test(hook=_hook(membership, pk))
    messages.success(request, "A test message was queued. The response of the webhook appears under Recent messages.")
    return _back(membership)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def hook_delete(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    hook = _hook(membership, pk)
    posted = request.POST if request.method == "POST" else None
    form = TypedName(posted, expected=hooks.host_of(hook.url), refusal="The webhook was not deleted.")
    if form.is_valid():
        hook.delete()
        messages.success(request, "The webhook and its secret were deleted.")
        return _back(membership)
    return page(request, "hub/alerts/hook_delete.html", membership, hook=hook, form=form)


def _set_enabled(request: HubRequest, membership: Membership, pk: int, *, enabled: bool) -> HttpResponse:
    hooks.set_hook_enabled(hook=_hook(membership, pk), enabled=enabled)
    messages.success(
        request, "The webhook was enabled." if enabled else "The webhook was disabled. Alerts are not sent to it."
    )
    return _back(membership)


def _hook(membership: Membership, pk: int) -> AlertHook:
    return get_object_or_404(AlertHook, game=membership.game, pk=pk)


def _back(membership: Membership) -> HttpResponse:
    return redirect("alerts", slug=membership.game.slug)
