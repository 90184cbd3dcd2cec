"""The page of a game's joins: how visits on the web are joined to players, how often, and the settings."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audience.games import game_settings
from audience.games.game_settings import SettingsChanged
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.joins.figures import DAYS, figures_of, modeled_figures_of
from audience.models import Game, JoinKind, Membership, Role
from audience.models.games import MAX_MATCH_HOURS, MAX_REWARD_LENGTH


class JoinsForm(forms.Form):
    joins = forms.MultipleChoiceField(
        label="Kinds of joins", required=False, choices=JoinKind.choices, widget=forms.CheckboxSelectMultiple
    )
    reward_text = forms.CharField(
        label="Text of the claim page",
        required=False,
        max_length=MAX_REWARD_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What the player gets, and for what. Your game gives the reward; Afterclick only shows this text.",
    )
    return_addresses = forms.CharField(
        label="Return addresses",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One in each line, such as https://game.example/thanks. A link of your own page to the sign-in may "
        "return to these addresses only.",
    )
    match_hours = forms.IntegerField(
        label="Hours of modeled matches",
        required=False,
        min_value=1,
        max_value=MAX_MATCH_HOURS,
        help_text="A modeled match compares the address and operating system of a first launch with ad clicks at most "
        "this many hours before it. It needs full consent on both sides. It is an estimate, which is shown apart and "
        "never sent.",
    )


def joins_form(game: Game, posted: Any = None) -> JoinsForm:
    addresses = "\n".join(game.return_addresses)
    initial = {
        "joins": game.joins,
        "reward_text": game.reward_text,
        "return_addresses": addresses,
        "match_hours": game.match_hours,
    }
    return JoinsForm(posted, initial=initial)


@game_view()
def joins(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    figures = figures_of(game)
    context = {
        "figures": figures,
        "days": DAYS,
        "is_page_on": any(row.is_on for row in figures),
        "has_joins": any(row.number for row in figures),
        "reads_referrers": JoinKind.REFERRER in game.joins,
        "modeled": modeled_figures_of(game) if JoinKind.MODELED in game.joins else None,
        "claim_url": request.build_absolute_uri(reverse("claim", args=[game.slug])),
        "steam_url": request.build_absolute_uri(reverse("claim-steam", args=[game.slug])),
    }
    return page(request, "hub/joins/page.html", membership, **context)


@game_view(role=Role.ADMIN, methods=("GET", "HEAD", "POST"))
def joins_settings(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    form = joins_form(game, request.POST if request.method == "POST" else None)
    if form.is_valid() and _is_saved(request, game, form):
        messages.success(request, "The joins of this game are saved.")
        return redirect("joins", slug=game.slug)
    seen = "" if form.non_field_errors() else request.POST.get("seen", "")
    context = {"form": form, "back": "joins", "seen": seen or game_settings.version(game, game_settings.JOINS)}
    return page(request, "hub/joins/settings.html", membership, **context)


def _is_saved(request: HubRequest, game: Game, form: JoinsForm) -> bool:
    """Save a valid form; for an invalid address, or settings that changed meanwhile, add an error and return False."""
    data = form.cleaned_data
    try:
        game_settings.set_joins(
            game=game,
            joins=data["joins"],
            reward_text=data["reward_text"],
            return_addresses=data["return_addresses"].splitlines(),
            match_hours=data["match_hours"] or game.match_hours,
            seen=request.POST.get("seen", ""),
        )
    except SettingsChanged as changed:
        form.add_error(None, str(changed))
        return False
    except ValueError as error:
        form.add_error("return_addresses", str(error))
        return False
    return True
