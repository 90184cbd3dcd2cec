"""The player of the demo page: the Steam account with which the visitor signed in.

A game knows it from Steam, independent of the consent on the website; here a cookie takes the place of the game.
"""

from django.http import HttpRequest, HttpResponse

from audience.ids.values import canonical
from audience.intake.requests import visitor_cookies
from audience.models import Game, Join, JoinKind
from config.demo import loading

COOKIE = "demo_player"


def steam_id_of(request: HttpRequest, game: Game) -> str:
    """Return the SteamID64 of the newest sign-in in this browser; '' without one."""
    browser = visitor_cookies.read_id(request)
    joins = Join.objects.filter(game=game, kind=JoinKind.STEAM, anonymous_id=canonical(browser))
    newest = joins.order_by("joined_at", "pk").last() if browser else None
    return newest.player_id if newest else str(request.get_signed_cookie(COOKIE, default="", salt=COOKIE))


def remember(response: HttpResponse, steam_id: str) -> None:
    if steam_id:
        response.set_signed_cookie(COOKIE, steam_id, salt=COOKIE, path=loading.PAGE, httponly=True, samesite="Lax")


def forget(response: HttpResponse) -> None:
    """Forget the player and the browser's id."""
    response.delete_cookie(COOKIE, path=loading.PAGE, samesite="Lax")
    visitor_cookies.set_id(response, "", secure=False)
