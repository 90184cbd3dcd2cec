"""The setting of a game for clicks: whether Meta's fbclid counts without UTM tags."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.games import game_settings
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role

PAID, ORGANIC = "paid", "organic"
CHOICES = ((PAID, "Count it as a paid click"), (ORGANIC, "Count it as organic: all of our Meta ads have UTM tags"))


class UntaggedClicksForm(forms.Form):
    untagged = forms.ChoiceField(
        label="If a URL has an fbclid but no utm_source or utm_medium",
        choices=CHOICES,
        widget=forms.RadioSelect,
    )


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def ad_clicks_edit(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    posted = request.POST if request.method == "POST" else None
    form = UntaggedClicksForm(posted, initial={"untagged": PAID if game.untagged_fbclid_is_paid else ORGANIC})
    if posted is None or not form.is_valid():
        return page(request, "hub/integrations/ad_clicks.html", membership, form=form)
    game_settings.set_ad_clicks(game=game, untagged_fbclid_is_paid=form.cleaned_data["untagged"] == PAID)
    effect = "paid clicks" if game.untagged_fbclid_is_paid else "organic visits"
    messages.success(request, f"Visits with an fbclid and without UTM tags now count as {effect}.")
    return redirect("integrations", slug=game.slug)
