"""The cookies of the claim page: the browser's anonymous id, and the state of a sign-in with Steam."""

import re
import secrets
import uuid
from dataclasses import dataclass

from django.core import signing
from django.http import HttpRequest, HttpResponse

# The same name as in the web pixel and in tracking links.
ID_COOKIE = "ac_id"
# Chrome keeps no cookie longer.
ID_SECONDS = 400 * 86_400
STATE_COOKIE = "ac_claim"
STATE_SECONDS = 15 * 60
PATH = "/claim/"
UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that was started in this browser: `nonce` is in `return_to` too. `back` is where it leads, '' for the
    claim page."""

    game_id: int
    nonce: str
    anonymous_id: str
    return_to: str
    back: str


def read_id(request: HttpRequest) -> str:
    """Return the anonymous id of the browser; '' without one."""
    value = request.COOKIES.get(ID_COOKIE, "").lower()
    return value if UUID_FORM.fullmatch(value) and value != str(uuid.UUID(int=0)) else ""


def new_id() -> str:
    return str(uuid.uuid4())


def opted_out(request: HttpRequest) -> bool:
    """Whether the browser sends the Global Privacy Control (https://w3c.github.io/gpc/)."""
    return request.headers.get("Sec-GPC", "").strip() == "1"


def set_id(request: HttpRequest, response: HttpResponse, anonymous_id: str) -> None:
    """Set the cookie of the anonymous id unless the browser has it."""
    if read_id(request) != anonymous_id:
        response.set_cookie(
            ID_COOKIE,
            anonymous_id,
            max_age=ID_SECONDS,
            path="/",
            secure=request.is_secure(),
            httponly=True,
            samesite="Lax",
        )


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
