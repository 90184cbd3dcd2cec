"""The cookie of the claim page: the state of a sign-in with Steam."""

import secrets
from dataclasses import dataclass

from django.core import signing
from django.http import HttpRequest, HttpResponse

STATE_COOKIE = "ac_claim"
STATE_SECONDS = 15 * 60
PATH = "/claim/"


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that was started in this browser: `nonce` is in `return_to` too. `back` is where it leads, '' for the
    claim page."""

    game_id: int
    nonce: str
    anonymous_id: str
    return_to: str
    back: str


def new_nonce() -> str:
    return secrets.token_urlsafe(24)


def set_state(request: HttpRequest, response: HttpResponse, state: SignIn) -> None:
    value = signing.dumps(
        [state.game_id, state.nonce, state.anonymous_id, state.return_to, state.back], salt=STATE_COOKIE, compress=True
    )
    response.set_cookie(
        STATE_COOKIE,
        value,
        max_age=STATE_SECONDS,
        path=PATH,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def read_state(request: HttpRequest) -> SignIn | None:
    """Return the sign-in that was started in this browser; None without one, or if it is older than STATE_SECONDS."""
    try:
        values = signing.loads(request.COOKIES.get(STATE_COOKIE, ""), salt=STATE_COOKIE, max_age=STATE_SECONDS)
    except signing.BadSignature:
        return None
    return SignIn(*values)


def forget_state(response: HttpResponse) -> None:
    response.delete_cookie(STATE_COOKIE, path=PATH, samesite="Lax")
