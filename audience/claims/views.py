"""The claim page of a game: a visitor connects the browser with the player, without an account of this installation."""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from audience.claims import browser, pace, steam
from audience.claims.visits import BadReturnAddress, Visit
from audience.database import clock
from audience.games import return_addresses
from audience.intake.requests.caller import caller_ip
from audience.joins import codes, contacts, records
from audience.joins.records import AlreadyUsed, JoinRefused
from audience.models import JoinKind
from audience.models.joins import CODE_LIFETIME
from audience.models.people import USER
from audience.privacy import decisions
from consent.models import Level

# Uses of each form by one address in an hour: a café or a school may have one address.
MAX_USES_AN_HOUR = 60
# Ends of sign-ins from one address in an hour. Each may call Steam, and occupies a thread until Steam answers.
MAX_SIGN_INS_AN_HOUR = 600
SOURCE = "claim page"
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


@require_safe
@claim_view
def claim(visit: Visit) -> HttpResponse:
    visit.store_click()
    return _show(visit)


@require_POST
@claim_view
def claim_consent(visit: Visit) -> HttpResponse:
    """Record that the visitor agrees, for a browser that has not or that declined before."""
    if visit.opted_out or visit.request.POST.get("agree") != "yes":
        return _show(visit, error="Select the box to agree.", status=400)
    visit.use_new_id()
    decisions.record(
        game_id=visit.game.pk,
        anonymous_id=visit.anonymous_id,
        level=Level.FULL,
        source=SOURCE,
        decided_at=clock.now(),
    )
    response = redirect(_address(visit))
    browser.set_id(visit.request, response, visit.anonymous_id)
    return response


@require_safe
@claim_view
def claim_steam(visit: Visit) -> HttpResponse:
    """Begin a sign-in. A studio's own page may link here, with an address to return to."""
    if JoinKind.STEAM not in visit.kinds or not visit.may_store:
        return redirect(_address(visit))
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
    if state is None or state.game_id != visit.game.pk or not constant_time_compare(state.nonce, nonce):
        return _show(visit, error="This sign-in was not started in this browser, or it took too long.", status=400)
    if not _may_use(visit, "steam", limit=MAX_SIGN_INS_AN_HOUR):
        return _too_many(visit)
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
        return _ended(_show(visit, error=str(refused), status=400))
    except steam.SteamUnavailable:
        text = "Steam does not answer at the moment. Nothing was lost: try again in a minute."
        return _ended(_show(visit, error=text, status=503))
    response = redirect(_target(visit, state.back))
    browser.set_id(visit.request, response, state.anonymous_id)
    return _ended(response)


@require_POST
@claim_view
def claim_contact(visit: Visit) -> HttpResponse:
    """Store an email address or a Discord name that the visitor leaves."""
    posted = visit.request.POST
    kind = next((JoinKind(name) for name in visit.contact_kinds if name == posted.get("kind")), None)
    if kind is None or visit.opted_out:
        return _show(visit, error="This is not possible here now. Nothing was stored.", status=400)
    if posted.get("agree") != "yes":
        return _show(visit, error="Select the box to agree. Nothing was stored.", status=400)
    if not _may_use(visit, "contact", limit=MAX_USES_AN_HOUR):
        return _too_many(visit)
    try:
        value = contacts.read_contact(kind, posted.get("contact", ""))
    except ValueError as error:
        return _show(visit, error=str(error), status=400)
    if not visit.may_store:
        visit.use_new_id()
    player = visit.steam_id
    try:
        records.add_join(
            game=visit.game,
            kind=kind,
            anonymous_id=visit.anonymous_id,
            player_id=player or value,
            key=f"{kind}:{_digest(visit.anonymous_id, player, value)}",
            links=[(USER, player)] if player else [(kind, value)],
            traits={kind.value: value},
            consent_level=Level.FULL,
        )
    except AlreadyUsed:
        pass  # the form was sent twice
    except JoinRefused as refused:
        return _show(visit, error=str(refused), status=400)
    response = redirect(_target(visit, visit.back))
    browser.set_id(visit.request, response, visit.anonymous_id)
    return response


@require_POST
@claim_view
def claim_code(visit: Visit) -> HttpResponse:
    """Show a new code, once: only its digest is stored."""
    if JoinKind.CODE not in visit.kinds or not visit.may_store:
        return _show(visit, error="This is not possible here now. Nothing was stored.", status=400)
    if not _may_use(visit, "code", limit=MAX_USES_AN_HOUR):
        return _too_many(visit)
    code = codes.create_code(game=visit.game, anonymous_id=visit.anonymous_id)
    return _show(visit, code=codes.shown(code))


def _may_use(visit: Visit, form: str, *, limit: int) -> bool:
    return pace.take(form, caller_ip(visit.request), limit=limit, seconds=3600)


def _too_many(visit: Visit) -> HttpResponse:
    response = _show(visit, error="Too many requests from your network. Try again in an hour.", status=429)
    response["Retry-After"] = "3600"
    return response


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _address(visit: Visit) -> str:
    """Return the address of the claim page, with the address to return to."""
    page = reverse("claim", args=[visit.game.slug])
    return return_addresses.with_result(page, **{"return": visit.back}) if visit.back else page


def _target(visit: Visit, back: str) -> str:
    """Return where a join leads: to the studio's page, if that is still allowed, else to the claim page."""
    if back and return_addresses.is_allowed(back, visit.game.return_addresses):
        return return_addresses.with_result(back, joined="yes")
    return reverse("claim", args=[visit.game.slug])


def _ended(response: HttpResponse) -> HttpResponse:
    browser.forget_state(response)
    return response


def _show(visit: Visit, *, error: str = "", code: str = "", status: int = 200) -> HttpResponse:
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
