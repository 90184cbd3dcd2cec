"""The consent default for players without any stated level, set by an admin."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role

SEND, KEEP_BACK = "send", "keep"
CHOICES = ((SEND, "Send their conversions"), (KEEP_BACK, "Do not send their conversions"))


class UnstatedConsentForm(forms.Form):
    unstated = forms.ChoiceField(
        label="When a player never stated a consent level", choices=CHOICES, widget=forms.RadioSelect
    )


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def consent_edit(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    posted = request.POST if request.method == "POST" else None
    form = UnstatedConsentForm(posted, initial={"unstated": KEEP_BACK if game.strict_consent else SEND})
    if posted is None or not form.is_valid():
        return page(request, "hub/privacy/consent.html", membership, form=form)
    game.strict_consent = form.cleaned_data["unstated"] == KEEP_BACK
    game.save(update_fields=["strict_consent"])
    decision = "not sent to ad networks" if game.strict_consent else "sent to ad networks"
    messages.success(request, f"Conversions of players who never stated a consent level are {decision} from now on.")
    return redirect("privacy", slug=game.slug)
