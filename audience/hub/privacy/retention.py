"""Retention of events: set by an admin, who types the game's name if it deletes events."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.confirmation import TypedName
from audience.models import Game, Membership, Role
from audience.models.keys import MIN_RETENTION_DAYS
from audience.storage import retention

MAX_KEPT_DAYS = 3650
MIN_HELP = (
    f"Keep them at least {MIN_RETENTION_DAYS} days: a stored event is what its copies are known by, and senders may "
    "repeat what is up to 30 days old."
)


class RetentionForm(forms.Form):
    """A number of days; blank for ever."""

    kept_days = forms.IntegerField(
        label="Days to keep events",
        required=False,
        min_value=MIN_RETENTION_DAYS,
        max_value=MAX_KEPT_DAYS,
        help_text=f"From {MIN_RETENTION_DAYS} to {MAX_KEPT_DAYS}. Left empty, events are kept for ever.",
        error_messages={"min_value": MIN_HELP, "max_value": f"At most {MAX_KEPT_DAYS} days, or leave it empty."},
    )


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def retention_edit(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    posted = request.POST if request.method == "POST" else None
    form = RetentionForm(posted, initial={"kept_days": game.kept_days})
    context: dict[str, Any] = {"form": form, "least": MIN_RETENTION_DAYS}
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
    retention.set_kept_days(game=game, days=days)
    duration = f"for {days} days. Older ones are deleted within the next minutes" if days else "for ever"
    messages.success(request, f"Events of {game} are kept {duration}.")
    return redirect("privacy", slug=game.slug)
