"""API keys: members read the list; admins create, change, rotate and revoke.

A secret key is shown only in the response to the request that created it: no redirect, session or URL contains it.
"""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.database import clock
from audience.games import keys
from audience.games.key_usage import NO_USAGE, Usage, time_left, usage_by_key, used_since_rotation
from audience.hub.keys.forms import KeyChangeForm, KeyForm, RenameForm, RotateForm
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.confirmation import TypedName
from audience.models import ApiKey, KeyKind, Membership, Role

# The values of ?state= and their labels.
STATES = {"live": "Live", "rotating": "Rotating", "ended": "Ended"}


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key of the list. `state` is a key of STATES, `remaining` the time until the key's end as text or ''."""

    key: ApiKey
    state: str
    usage: Usage
    remaining: str
    still_used: bool

    @property
    def restrictions(self) -> list[tuple[str, list[str]]]:
        """Return [(label, values), ...] of the key's restrictions."""
        key = self.key
        lists = (("Events", key.allowed_events), ("Origins", key.allowed_origins), ("Addresses", key.allowed_addresses))
        return [(label, values) for label, values in lists if values]


@game_view()
def key_list(request: HubRequest, membership: Membership) -> HttpResponse:
    rows = _rows(membership)
    requested = request.GET.get("state", "")
    state = requested if requested in STATES else ""
    shown = [row for row in rows if state in ("", row.state)]
    context = {
        "rows": rows,
        "has_matches": bool(shown),
        "working": [row for row in shown if row.state != "ended"],
        "ended": [row for row in shown if row.state == "ended"],
        "warnings": [row for row in rows if row.still_used],
        "state": state,
        "filters": [(name, label, sum(row.state == name for row in rows)) for name, label in STATES.items()],
    }
    return page(request, "hub/keys/page.html", membership, **context)


def _rows(membership: Membership) -> list[KeyRow]:
    api_keys = ApiKey.objects.filter(game=membership.game).select_related("replaced_by")
    usage, now = usage_by_key(membership.game), clock.now()
    return [
        KeyRow(
            key=key,
            state="rotating" if key.is_rotating else "live" if key.is_live else "ended",
            usage=usage.get(key.pk, NO_USAGE),
            remaining=time_left(key.expires_at, now) if key.is_live and key.expires_at else "",
            still_used=used_since_rotation(key),
        )
        for key in api_keys
    ]


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def key_new(request: HubRequest, membership: Membership) -> HttpResponse:
    kind = request.GET.get("kind", "")
    form = KeyForm(request.POST or None, initial={"kind": kind} if kind in KeyKind.values else None)
    if request.method == "POST" and form.is_valid():
        new = keys.create_key(game=membership.game, created_by=request.user, **form.attributes())
        return _show_secret(request, membership, new)
    return page(request, "hub/keys/new.html", membership, form=form)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def key_change(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    key = _live_key(membership, pk)
    form = KeyChangeForm(request.POST or None, key=key)
    if request.method == "POST" and form.is_valid():
        keys.change_key(key=key, name=form.cleaned_data["name"], restrictions=form.restrictions())
        messages.success(request, f"{key.name} was changed. The change applies to requests within a second.")
        return redirect("keys", slug=membership.game.slug)
    return page(request, "hub/keys/change.html", membership, form=form, key=key)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def key_rename(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    key = get_object_or_404(ApiKey, game=membership.game, pk=pk)
    form = RenameForm(request.POST if request.method == "POST" else None, initial={"name": key.name})
    before, seen = key.name, request.POST.get("seen", "")
    if form.is_valid():
        try:
            keys.rename_key(key=key, name=form.cleaned_data["name"], seen=seen)
        except keys.KeyChanged as changed:
            form.add_error(None, str(changed))
            seen = ""
        else:
            messages.success(request, f"The key {before} is now named {key.name}.")
            return redirect("keys", slug=membership.game.slug)
    return page(request, "hub/keys/rename.html", membership, form=form, key=key, seen=seen or key.name)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def key_rotate(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    # A key has one successor: reloading the page must not create another.
    key = _live_key(membership, pk, replaced_by=None)
    form = RotateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            new = keys.rotate_key(key=key, overlap=form.cleaned_data["overlap"], rotated_by=request.user)
        except keys.KeyRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            return _show_secret(request, membership, new, old=key)
    return page(request, "hub/keys/rotate.html", membership, form=form, key=key)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def key_revoke(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    key = _live_key(membership, pk)
    posted = request.POST if request.method == "POST" else None
    form = TypedName(posted, expected=key.name, refusal="The key still works.")
    if form.is_valid():
        keys.revoke_key(key=key)
        messages.success(request, f"{key.name} was revoked. Requests with it are rejected from now on.")
        return redirect("keys", slug=membership.game.slug)
    usage = usage_by_key(membership.game).get(key.pk, NO_USAGE)
    return page(request, "hub/keys/revoke.html", membership, key=key, form=form, usage=usage)


def _live_key(membership: Membership, pk: int, **conditions: None) -> ApiKey:
    return get_object_or_404(ApiKey.objects.live(), game=membership.game, pk=pk, **conditions)


def _show_secret(
    request: HubRequest, membership: Membership, new: keys.NewKey, old: ApiKey | None = None
) -> HttpResponse:
    # `game_view` sets Cache-Control: no-store.
    remaining = time_left(old.expires_at, clock.now()) if old and old.expires_at else ""
    context = {"key": new.key, "value": new.value, "old": old, "remaining": remaining}
    return page(request, "hub/keys/created.html", membership, **context)
