"""Deleting Steam's numbers of a range of days, after a page that shows how many rows there are."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role
from postbacks.hub.costs.deletion import DeletionForm
from postbacks.hub.steam.views import row_count
from postbacks.reporting.steam import uploads


@game_view(role=Role.MARKETER, methods=("GET", "HEAD", "POST"))
def steam_delete(request: HubRequest, membership: Membership) -> HttpResponse:
    """Ask for the days; with days in the URL, show how many rows they have; by POST, delete these."""
    posted = request.method == "POST"
    stated = request.POST if posted else request.GET if "first" in request.GET else None
    form, context = DeletionForm(stated), {}
    if form.is_valid():
        first, last = form.cleaned_data["first"], form.cleaned_data["last"]
        if posted:
            number = uploads.delete(game=membership.game, first=first, last=last)
            messages.success(request, f"{row_count(number)} {'was' if number == 1 else 'were'} deleted.")
            return redirect("steam-numbers", slug=membership.game.slug)
        number = uploads.stored(membership.game, first, last).count()
        context = {"number": number, "first": first, "last": last}
    return page(request, "hub/steam/delete.html", membership, form=form, **context)
