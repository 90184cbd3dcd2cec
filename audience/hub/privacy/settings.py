"""Settings pages of a game for its admins: the consent default and the retention of events."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.confirmation import TypedName
from audience.models import Game, Membership, Role
from audience.models.games import MIN_RETENTION_DAYS
from audience.storage import retention

SEND, DO_NOT_SEND = "send", "keep"
CHOICES = ((SEND, "Send their conversions"), (DO_NOT_SEND, "Do not send their conversions"))
MAX_RETENTION_DAYS = 3650
TOO_SHORT = (
    f"Keep them at least {MIN_RETENTION_DAYS} days: a stored event is what its copies are known by, and senders may "
    "repeat what is up to 30 days old."
)


class ConsentForm(forms.Form):
    """The consent default for players without any stated level, and the rule on limited data use."""

    unstated = forms.ChoiceField(
        label="When a player never stated a consent level", choices=CHOICES, widget=forms.RadioSelect
    )
    limited_data_use = forms.BooleanField(
        required=False,
        label="Limited data use for every conversion",
        help_text="Networks are asked to use what they get in a limited way only, as laws of US states demand for "
        "players who opted out. Otherwise that is asked only with events that say so themselves.",
    )


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def consent_edit(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    posted = request.POST if request.method == "POST" else None
    unstated = DO_NOT_SEND if game.strict_consent else SEND
    form = ConsentForm(posted, initial={"unstated": unstated, "limited_data_use": game.limited_data_use})
    if posted is None or not form.is_valid():
        return page(request, "hub/privacy/consent.html", membership, form=form)
    game.strict_consent = form.cleaned_data["unstated"] == DO_NOT_SEND
    game.limited_data_use = form.cleaned_data["limited_data_use"]
    game.save(update_fields=["strict_consent", "limited_data_use"])
    effect = "not sent to ad networks" if game.strict_consent else "sent to ad networks"
    limited = "every conversion" if game.limited_data_use else "conversions whose event says so"
    messages.success(
        request,
        f"Conversions of players who never stated a consent level are {effect} from now on. "
        f"Limited data use is asked for with {limited}.",
    )
    return redirect("privacy", slug=game.slug)


class RetentionForm(forms.Form):
    """The retention in days; blank means for ever."""

    kept_days = forms.IntegerField(
        label="Days to keep events",
        required=False,
        min_value=MIN_RETENTION_DAYS,
        max_value=MAX_RETENTION_DAYS,
        help_text=f"From {MIN_RETENTION_DAYS} to {MAX_RETENTION_DAYS}. Left empty, events are kept for ever.",
        error_messages={"min_value": TOO_SHORT, "max_value": f"At most {MAX_RETENTION_DAYS} days, or leave it empty."},
    )


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def retention_edit(request: HubRequest, membership: Membership) -> HttpResponse:
    """Set the retention. A shorter one deletes events, so the game's name must be typed to confirm it."""
    game = membership.game
    posted = request.POST if request.method == "POST" else None
    form = RetentionForm(posted, initial={"kept_days": game.kept_days})
    context: dict[str, Any] = {"form": form}
    if posted is None or not form.is_valid():
        return page(request, "hub/privacy/retention.html", membership, **context)
    days: int | None = form.cleaned_data["kept_days"]
    if days is None or not retention.shortens(game, days):
        return _save(request, game, days)
    typed = TypedName(
        posted if "confirmation" in posted else None, expected=game.name, refusal="Nothing was changed or deleted."
    )
    if typed.is_valid():
        return _save(request, game, days)
    context |= {"typed": typed, "days": days, "affected": retention.count_older_events(game, days)}
    return page(request, "hub/privacy/retention.html", membership, **context)


def _save(request: HubRequest, game: Game, days: int | None) -> HttpResponse:
    retention.set_retention(game=game, days=days)
    duration = f"for {days} days. Older ones are deleted within the next minutes" if days else "for ever"
    messages.success(request, f"Events of {game} are kept {duration}.")
    return redirect("privacy", slug=game.slug)
