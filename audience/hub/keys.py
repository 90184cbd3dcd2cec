"""API keys: everyone in the game reads the list, admins make, rotate and revoke.

A secret is part of the one answer that made it: no redirect, no session, no URL ever holds it.
"""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience import keys
from audience.hub.access import HubRequest, game_view, page
from audience.hub.forms import KeyForm, RotateForm
from audience.models import ApiKey, Membership, Role


@game_view()
def key_list(request: HubRequest, membership: Membership) -> HttpResponse:
    found = list(ApiKey.objects.filter(game=membership.game))
    live = [key for key in found if key.is_live]
    return page(
        request, "hub/keys.html", membership, live_keys=live, ended_keys=[key for key in found if not key.is_live]
    )


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def key_new(request: HubRequest, membership: Membership) -> HttpResponse:
    form = KeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = keys.create_key(game=membership.game, created_by=request.user, **form.choices())
        return _made(request, membership, made)
    return page(request, "hub/key_new.html", membership, form=form)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def key_rotate(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    # A key has one successor: reloading the answer must not make another.
    key = _live_key(membership, pk, replaced_by=None)
    form = RotateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = keys.rotate_key(key=key, overlap=form.cleaned_data["overlap"], rotated_by=request.user)
        return _made(request, membership, made, old=key)
    return page(request, "hub/key_rotate.html", membership, form=form, key=key)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def key_revoke(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    key = _live_key(membership, pk)
    if request.method == "POST":
        keys.revoke_key(key=key)
        messages.success(request, f"{key.name} is revoked: requests with it are refused from now on.")
        return redirect("keys", slug=membership.game.slug)
    return page(request, "hub/key_revoke.html", membership, key=key)


def _live_key(membership: Membership, pk: int, **state: None) -> ApiKey:
    return get_object_or_404(ApiKey.objects.live(), game=membership.game, pk=pk, **state)


def _made(request: HubRequest, membership: Membership, made: keys.NewKey, old: ApiKey | None = None) -> HttpResponse:
    # `game_view` answers with Cache-Control: no-store.
    return page(request, "hub/key_made.html", membership, key=made.key, value=made.value, old=old)
