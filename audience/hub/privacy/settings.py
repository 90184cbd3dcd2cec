"""Settings pages of a game for its admins: the consent default and the retention of events."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audience.games import game_settings
from audience.games.game_settings import SettingsChanged, WouldDelete
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.confirmation import TypedName
from audience.models import Game, Membership, Role
from audience.models.games import MAX_RETENTION_DAYS, MIN_RETENTION_DAYS
from audience.storage import retention

SEND, DO_NOT_SEND = "send", "keep"
CHOICES = ((SEND, "Send their conversions"), (DO_NOT_SEND, "Do not send their conversions"))
TOO_SHORT = (
    f"Keep events for at least {MIN_RETENTION_DAYS} days. Stored events are used to detect duplicates, and clients "
    "may repeat events that are up to 30 days old."
)


class ConsentForm(forms.Form):
    """The consent default for players without any stated level, and the rule on limited data use."""

    unstated = forms.ChoiceField(
        label="If a player never stated a consent level", choices=CHOICES, widget=forms.RadioSelect
    )
    limited_data_use = forms.BooleanField(
        required=False,
        label="Limited data use for every conversion",
        help_text="Every conversion is sent with a request to limit the use of its data, as laws of US states "
        "require for players who opted out. If this is off, only events that state it are sent with the request.",
    )


def consent_form(game: Game, posted: Any = None) -> ConsentForm:
    unstated = DO_NOT_SEND if game.strict_consent else SEND
    return ConsentForm(posted, initial={"unstated": unstated, "limited_data_use": game.limited_data_use})


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def consent_edit(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    form = consent_form(game, request.POST if request.method == "POST" else None)
    if not form.is_valid() or not _save_consent(request, game, form):
        return _page(request, membership, game_settings.CONSENT, form=form)
    effect = "not sent to ad networks" if game.strict_consent else "sent to ad networks"
    limited = "every conversion" if game.limited_data_use else "conversions whose event states it"
    messages.success(
        request,
        f"Conversions of players who never stated a consent level are {effect} from now on. "
        f"Limited data use is requested with {limited}.",
    )
    return _return(request, game, game_settings.CONSENT)


def _save_consent(request: HubRequest, game: Game, form: ConsentForm) -> bool:
    """Save a valid form; if the settings changed meanwhile, add an error to it and return False."""
    try:
        game_settings.set_consent(
            game=game,
            strict_consent=form.cleaned_data["unstated"] == DO_NOT_SEND,
            limited_data_use=form.cleaned_data["limited_data_use"],
            seen=request.POST.get("seen", ""),
        )
    except SettingsChanged as changed:
        form.add_error(None, str(changed))
        return False
    return True


class RetentionForm(forms.Form):
    """The retention in days; blank means forever."""

    kept_days = forms.IntegerField(
        label="Days to keep events",
        required=False,
        min_value=MIN_RETENTION_DAYS,
        max_value=MAX_RETENTION_DAYS,
        help_text=f"From {MIN_RETENTION_DAYS} to {MAX_RETENTION_DAYS}. If you leave it empty, events are kept forever.",
        error_messages={"min_value": TOO_SHORT, "max_value": f"At most {MAX_RETENTION_DAYS} days, or leave it empty."},
    )


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def retention_edit(request: HubRequest, membership: Membership) -> HttpResponse:
    """Set the retention. A shorter one deletes events, so the game's name must be typed to confirm it."""
    game = membership.game
    posted = request.POST if request.method == "POST" else None
    form = RetentionForm(posted, initial={"kept_days": game.kept_days})
    if posted is None or not form.is_valid():
        return _page(request, membership, game_settings.RETENTION, form=form)
    days: int | None = form.cleaned_data["kept_days"]
    typed = TypedName(
        posted if "confirmation" in posted else None, expected=game.name, refusal="Nothing was changed or deleted."
    )
    try:
        may_delete = typed.is_valid()
        game_settings.set_kept_days(game=game, days=days, may_delete=may_delete, seen=posted.get("seen", ""))
    except WouldDelete:
        context = {"typed": typed, "days": days, "affected": retention.count_older_events(game, days or 0)}
        return _page(request, membership, game_settings.RETENTION, form=form, **context)
    except SettingsChanged as changed:
        form.add_error(None, str(changed))
        return _page(request, membership, game_settings.RETENTION, form=form)
    duration = f"for {days} days. Older events are deleted within a few minutes" if days else "forever"
    messages.success(request, f"Events of {game} are now kept {duration}.")
    return _return(request, game, game_settings.RETENTION)


def _page(request: HubRequest, membership: Membership, section: str, **context: Any) -> HttpResponse:
    """Render the page of a section. Its version stays that which the editor saw until an error has the new values."""
    seen = "" if context["form"].non_field_errors() else request.POST.get("seen", "")
    context |= {
        "seen": seen or game_settings.version(membership.game, section),
        "origin": _origin(request),
        "back": _origin(request) or "privacy",
    }
    return page(request, f"hub/privacy/{section}.html", membership, **context)


def _origin(request: HubRequest) -> str:
    """Return the URL name of the page that posted the form, if it is that of all settings; '' if it is this page."""
    return "game-settings" if request.POST.get("origin") == "game-settings" else ""


def _return(request: HubRequest, game: Game, section: str) -> HttpResponse:
    name = _origin(request)
    return redirect(f"{reverse(name, args=[game.slug])}#{section}") if name else redirect("privacy", slug=game.slug)
