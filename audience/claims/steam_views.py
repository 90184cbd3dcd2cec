"""The sign-in with Steam: the beginning, to which a page of the studio may link, and the end."""

from django.http import HttpResponse
from django.http.response import HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from audience.claims import browser, steam
from audience.claims.answers import claim_view, may_use, page_address, show, target_of, too_many
from audience.claims.visits import Visit
from audience.joins import records
from audience.joins.records import JoinRefused
from audience.models import JoinKind
from audience.models.people import USER

# Ends of sign-ins from one address in an hour. Each may call Steam, and occupies a thread until Steam answers.
MAX_SIGN_INS_AN_HOUR = 600


@require_safe
@claim_view
def claim_steam(visit: Visit) -> HttpResponse:
    """Begin a sign-in. A studio's own page may link here, with an address to return to."""
    if JoinKind.STEAM not in visit.kinds or not visit.may_store:
        return redirect(page_address(visit))
    visit.store_click()
    nonce = browser.new_nonce()
    path = f"{reverse('claim-steam-return', args=[visit.game.slug])}?state={nonce}"
    return_to = visit.request.build_absolute_uri(path)
    state = browser.SignIn(visit.game.pk, nonce, visit.anonymous_id, return_to, visit.back)
    # Not of redirect(): that would look up the address as the name of a view.
    response = HttpResponseRedirect(steam.sign_in_url(return_to))
    browser.set_state(visit.request, response, state)
    return visit.finish(response)


@require_safe
@claim_view
def claim_steam_return(visit: Visit) -> HttpResponse:
    """End a sign-in: verify what Steam says, and join the browser that began it with the Steam account."""
    state = browser.read_state(visit.request)
    nonce = visit.request.GET.get("state", "")
    is_started = state is not None and state.game_id == visit.game.pk and visit.may_be(state.anonymous_id)
    if state is None or not is_started or not constant_time_compare(state.nonce, nonce):
        return show(visit, error="This sign-in was not started in this browser, or it took too long.", status=400)
    if not may_use(visit, "steam", limit=MAX_SIGN_INS_AN_HOUR):
        return too_many(visit)
    try:
        if JoinKind.STEAM not in visit.kinds or visit.opted_out:
            raise JoinRefused("Signing in with Steam is not possible here now. Nothing was stored.")
        steam_id, key = steam.verify(visit.request.GET, return_to=state.return_to)
        records.add_join(
            game=visit.game,
            kind=JoinKind.STEAM,
            anonymous_id=state.anonymous_id,
            player_id=steam_id,
            key=f"steam:{key}",
            links=[(USER, steam_id), (JoinKind.STEAM, steam_id)],
        )
    except (steam.NotVerified, JoinRefused) as refused:
        return _ended(show(visit, error=str(refused), status=400))
    except steam.SteamUnavailable:
        text = "Steam does not answer at the moment. Nothing was lost: try again in a minute."
        return _ended(show(visit, error=text, status=503))
    response = redirect(target_of(visit, state.back))
    visit.set_id(response, state.anonymous_id)
    return _ended(response)


def _ended(response: HttpResponse) -> HttpResponse:
    browser.forget_state(response)
    return response
