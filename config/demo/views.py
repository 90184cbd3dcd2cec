"""The demo page: a visitor clicks an ad, decides about consent, signs in with an imitation of Steam, and plays."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from audience.games import return_addresses
from audience.models import Game, Trigger
from audience.pixel.snippet import snippet
from config.demo import ads, backend, loading, player, results
from config.demo.availability import demo_key

# The buttons of the page: the name in the form, and the event that the back end sends.
ACTIONS = {"launch": Trigger.GAME_LAUNCH, "buy": Trigger.PURCHASE}


@never_cache
@require_safe
def demo_page(request: HttpRequest) -> HttpResponse:
    key = demo_key()
    steam_id = player.steam_id_of(request, key.game)
    shown = ads.ads_of(key.game)
    context: dict[str, Any] = {
        "ads": shown,
        "arrival": next((ad for ad in shown if request.GET.get(ad.parameter)), None),
        "click_id": next((request.GET[ad.parameter] for ad in shown if request.GET.get(ad.parameter)), ""),
        "pixel": snippet(base="", config={"key": key.value, "consent": "wait"}).tag,
        "sign_in": _sign_in_address(request, key.game),
        "example": backend.example(key=key, steam_id=steam_id) if steam_id else "",
        "marketer": loading.USERS["marketer"][0],
        "link_path": f"/go/{loading.LINK_SLUG}",
        **_results(key.game, steam_id),
    }
    response = render(request, "demo/page.html", context)
    player.remember(response, steam_id)
    return response


@never_cache
@require_safe
def demo_results(request: HttpRequest) -> HttpResponse:
    """The conversions of the player, which the page requests again and again."""
    game = demo_key().game
    return render(request, "demo/_results.html", _results(game, player.steam_id_of(request, game)))


@never_cache
@require_safe
def demo_ad(request: HttpRequest, kind: str) -> HttpResponse:
    """Redirect as the ad of a network does."""
    game = demo_key().game
    found = next((ad for ad in ads.ads_of(game) if ad.network.kind == kind), None)
    if found is None:
        raise Http404("This page does not exist.")
    return HttpResponseRedirect(found.new_address(game))


@require_POST
def demo_play(request: HttpRequest) -> HttpResponse:
    """Let the back end of the game send an event of the player; without a player nothing is sent."""
    key = demo_key()
    steam_id, trigger = player.steam_id_of(request, key.game), ACTIONS.get(request.POST.get("action", ""))
    if steam_id and trigger:
        backend.send(trigger, key=key, steam_id=steam_id)
    return HttpResponseRedirect(f"{reverse('demo')}#results")


@require_POST
def demo_restart(request: HttpRequest) -> HttpResponse:
    """Let the browser be that of a new visitor."""
    demo_key()
    response = HttpResponseRedirect(reverse("demo"))
    player.forget(response)
    return response


def _results(game: Game, steam_id: str) -> dict[str, Any]:
    rows = results.rows_of(game, steam_id)
    return {"game": game, "steam_id": steam_id, "rows": rows, "received": results.received_of(rows)}


def _sign_in_address(request: HttpRequest, game: Game) -> str:
    """Return the address of the sign-in, which leads back to the page where that is allowed, else of the claim page."""
    page = request.build_absolute_uri(reverse("demo"))
    if return_addresses.is_allowed(page, game.return_addresses):
        return return_addresses.with_result(reverse("claim-steam", args=[game.slug]), **{"return": page})
    return reverse("claim", args=[game.slug])
