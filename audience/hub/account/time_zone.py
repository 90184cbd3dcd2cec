"""The page on which a user chooses the time zone of all pages."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from audience.accounts import time_zone as account_zone
from audience.hub.toolkit.access import HubRequest
from audience.wording import time_zones

OF_GAME = "game"


def choices() -> list[Any]:
    return [(OF_GAME, "The time zone of each game"), *time_zones.choices()]


class TimeZoneForm(forms.Form):
    """The time zone, or OF_GAME."""

    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=choices,
        help_text="Pages and mails show times in it, and the days of lists and charts begin in it. It is yours alone: "
        "other members see their own. CSV files have the UTC offset with each time.",
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def time_zone(request: HubRequest) -> HttpResponse:
    form = TimeZoneForm(request.POST or None, initial={"time_zone": account_zone.chosen_by(request.user) or OF_GAME})
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data["time_zone"]
        account_zone.choose(user=request.user, time_zone="" if chosen == OF_GAME else chosen)
        told = "the time zone of each game" if chosen == OF_GAME else chosen.replace("_", " ")
        messages.success(request, f"Times are shown in {told}.")
        return redirect("account")
    return render(request, "account/time_zone.html", {"form": form})
