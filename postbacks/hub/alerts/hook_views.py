"""The webhooks of a game: adding, changing, rotating, testing, deleting.

A webhook's secret is shown once, in the response that created it. Its URL is for admins, since the path may be secret.
"""

from dataclasses import dataclass
from datetime import datetime

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.debug import sensitive_variables

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.confirmation import TypedName
from audience.models import Game, Membership, Role
from postbacks.hub.alerts.forms import EventsForm, HookForm, RotateForm
from postbacks.models import AlertHook
from postbacks.monitoring.alerts import hook_secrets, hooks

# Waiting messages that are counted for the list.
MAX_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class HookRow:
    """A webhook of the list. `waiting` is at most MAX_COUNTED + 1; `overlap_end` is set while its secret is rotated."""

    hook: AlertHook
    host: str
    waiting: int
    overlap_end: datetime | None

    @property
    def has_more(self) -> bool:
        return self.waiting > MAX_COUNTED

    @property
    def counted(self) -> int:
        return min(self.waiting, MAX_COUNTED)


def hook_rows(game: Game, now: datetime) -> list[HookRow]:
    return [
        HookRow(
            hook=hook,
            host=hooks.host_of(hook.url),
            waiting=hooks.waiting_messages(hook)[: MAX_COUNTED + 1].count(),
            overlap_end=hook_secrets.overlap_end(hook, now),
        )
        for hook in AlertHook.objects.filter(game=game).order_by("pk")
    ]


@sensitive_variables("secret")
@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def hook_add(request: HubRequest, membership: Membership) -> HttpResponse:
    form = HookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            hook, secret = hooks.add_hook(game=membership.game, created_by=request.user, **form.cleaned_data)
            return page(request, "hub/alerts/hook_made.html", membership, hook=hook, value=secret)
        except hooks.HookRefused as refused:
            form.add_error(refused.field, str(refused))
    return page(request, "hub/alerts/hook_add.html", membership, form=form)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def hook_change(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    """Change the events of a webhook."""
    hook = _hook(membership, pk)
    form = EventsForm(request.POST if request.method == "POST" else None, initial={"events": hook.events})
    if form.is_valid():
        hooks.change_events(hook=hook, events=form.cleaned_data["events"])
        messages.success(request, f"The events of the webhook to {hooks.host_of(hook.url)} were changed.")
        return _back(membership)
    return _hook_page(request, "change", membership, hook, form)


@sensitive_variables("secret")
@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def hook_rotate(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    hook = _hook(membership, pk)
    form = RotateForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        secret = hooks.rotate_secret(hook=hook, overlap=form.cleaned_data["overlap"])
        end = hook_secrets.overlap_end(hook, clock.now())
        context = {"hook": hook, "value": secret, "is_rotated": True, "overlap_end": end}
        return page(request, "hub/alerts/hook_made.html", membership, **context)
    return _hook_page(request, "rotate", membership, hook, form)


@game_view(role=Role.ADMIN, methods=("POST",))
def hook_enable(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    hooks.set_hook_enabled(hook=_hook(membership, pk), enabled=True)
    messages.success(request, "The webhook was enabled.")
    return _back(membership)


@game_view(role=Role.ADMIN, methods=("POST",))
def hook_disable(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    hooks.set_hook_enabled(hook=_hook(membership, pk), enabled=False)
    messages.success(request, "The webhook was disabled. Nothing is sent to it.")
    return _back(membership)


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
        hooks.delete_hook(hook=hook)
        messages.success(request, "The webhook and its secret were deleted.")
        return _back(membership)
    return _hook_page(request, "delete", membership, hook, form)


def _hook_page(
    request: HubRequest, name: str, membership: Membership, hook: AlertHook, form: forms.Form
) -> HttpResponse:
    context = {"hook": hook, "host": hooks.host_of(hook.url), "form": form}
    return page(request, f"hub/alerts/hook_{name}.html", membership, **context)


def _hook(membership: Membership, pk: int) -> AlertHook:
    return get_object_or_404(AlertHook, game=membership.game, pk=pk)


def _back(membership: Membership) -> HttpResponse:
    return redirect("alerts", slug=membership.game.slug)
