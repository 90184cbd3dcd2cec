"""Deleting costs of a range of days, after a page that shows how many lines there are."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role
from postbacks.reporting.campaigns import cost_uploads
from postbacks.reporting.campaigns.cost_cells import COST_NETWORKS
from postbacks.reporting.campaigns.cost_uploads import line_count

DATE = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class DeletionForm(forms.Form):
    """The days of the rows to delete."""

    first = forms.DateField(label="First day", widget=DATE)
    last = forms.DateField(label="Last day", widget=DATE)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("first") and data.get("last") and data["first"] > data["last"]:
            self.add_error("last", "The last day is before the first day.")
        return data


class CostDeletionForm(DeletionForm):
    """Also the network of the costs to delete."""

    network = forms.ChoiceField(
        label="Network",
        required=False,
        choices=[("", "All networks"), *sorted(COST_NETWORKS.items(), key=lambda one: one[1])],
    )


@game_view(role=Role.MARKETER, methods=("GET", "HEAD", "POST"))
def cost_delete(request: HubRequest, membership: Membership) -> HttpResponse:
    """Ask for the days; with days in the URL, show how many lines they have; by POST, delete these."""
    posted = request.method == "POST"
    stated = request.POST if posted else request.GET if "first" in request.GET else None
    form, context = CostDeletionForm(stated), {}
    if form.is_valid():
        first, last, network = (form.cleaned_data[name] for name in ("first", "last", "network"))
        if posted:
            number = cost_uploads.delete(game=membership.game, first=first, last=last, network=network)
            verb = "was" if number == 1 else "were"
            messages.success(request, f"{line_count(number)} {verb} deleted.")
            return redirect("costs", slug=membership.game.slug)
        number = cost_uploads.stored(membership.game, first, last, network).count()
        context = {"number": number, "first": first, "last": last, "network": COST_NETWORKS.get(network, "")}
    return page(request, "hub/costs/delete.html", membership, form=form, **context)
