"""Erasing a player: admins ask for it here, everyone sees the receipts."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.erasure import request_erasure
from audience.hub.access import HubRequest, game_view, page
from audience.hub.forms import EraseForm
from audience.hub.paging import newest
from audience.models import Erasure, Membership, Role


@dataclass(frozen=True, slots=True)
class Receipt:
    """An erasure with its counts in words: "events 18, touches 2"."""

    erasure: Erasure
    erased: str

    @classmethod
    def of(cls, erasure: Erasure) -> "Receipt":
        counted = [f"{name.replace('_', ' ')} {count}" for name, count in erasure.counts.items() if count]
        return cls(erasure=erasure, erased=", ".join(counted))


@game_view()
def privacy(request: HubRequest, membership: Membership) -> HttpResponse:
    return _page(request, membership, EraseForm())


@game_view(role=Role.ADMIN, methods=("POST",))
def erase(request: HubRequest, membership: Membership) -> HttpResponse:
    form = EraseForm(request.POST)
    if not form.is_valid():
        return _page(request, membership, form)
    request_erasure(
        game=membership.game,
        namespace=form.cleaned_data["namespace"],
        subject=form.cleaned_data["subject"],
        requested_by=request.user.get_username(),
    )
    messages.success(request, "The erasure is under way. Its receipt below says when it is done.")
    return redirect("privacy", slug=membership.game.slug)


def _page(request: HubRequest, membership: Membership, form: EraseForm) -> HttpResponse:
    before = request.GET.get("before", "")
    found = newest(Erasure.objects.filter(game=membership.game), by="requested_at", before=before, key=UUID)
    template = "hub/_erasure_rows.html" if request.htmx else "hub/privacy.html"
    context = {"receipts": [Receipt.of(erasure) for erasure in found.rows], "older": found.older, "before": before}
    return page(request, template, membership, form=form, **context)
