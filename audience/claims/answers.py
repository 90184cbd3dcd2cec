"""What all views of the claim page share: the check of the address to return to, the page itself, and limits."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from audience.claims import pace
from audience.claims.visits import BadReturnAddress, Visit
from audience.games import return_addresses
from audience.intake.requests.caller import caller_ip, network_of
from audience.models.joins import CODE_LIFETIME

ClaimView = Callable[[Visit], HttpResponse]


def claim_view(view: ClaimView) -> Callable[..., HttpResponse]:
    @never_cache
    @wraps(view)
    def answer(request: HttpRequest, slug: str) -> HttpResponse:
        visit = Visit.of(request, slug)
        try:
            _ = visit.back  # checked before anything is stored
        except BadReturnAddress:
            text = "The address to return to is not one that this game allows. Go back, and tell the studio."
            return render(request, "claims/refused.html", {"game": visit.game, "text": text}, status=400)
        return view(visit)

    return answer


def may_use(visit: Visit, form: str, *, limit: int) -> bool:
    """Count a use of a form by the caller's address; whether it is within the limit of an hour."""
    return pace.take(form, network_of(caller_ip(visit.request)), limit=limit, seconds=3600)


def too_many(visit: Visit) -> HttpResponse:
    response = show(visit, error="Too many requests from your network. Try again in an hour.", status=429)
    response["Retry-After"] = "3600"
    return response


def page_address(visit: Visit) -> str:
    """Return the address of the claim page, with the address to return to."""
    page = reverse("claim", args=[visit.game.slug])
    return return_addresses.with_result(page, **{"return": visit.back}) if visit.back else page


def target_of(visit: Visit, back: str) -> str:
    """Return where a join leads: to the studio's page, if that is still allowed, else to the claim page."""
    if back and return_addresses.is_allowed(back, visit.game.return_addresses):
        return return_addresses.with_result(back, joined="yes")
    return reverse("claim", args=[visit.game.slug])


def show(visit: Visit, *, error: str = "", code: str = "", status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {
        "game": visit.game,
        "visit": visit,
        "error": error,
        "code": code,
        "code_days": CODE_LIFETIME.days,
        "steam_end": visit.steam_id[-4:],
        "is_imitated": settings.STEAM_OPENID_URL != settings.STEAM_OPENID_DEFAULT_URL,
    }
    return visit.finish(render(visit.request, "claims/page.html", context, status=status))
