"""The cookies with the anonymous id of a browser, which the web pixel, tracking links and the claim page share."""

import re
import uuid

from django.http import HttpRequest, HttpResponse

# Readable by the pixel's script, and its twin that is not: Safari deletes cookies of scripts after 7 days.
ID_COOKIE, TWIN_COOKIE = "ac_id", "ac_twin"
# Chrome keeps a cookie for at most 400 days (developer.chrome.com/blog/cookie-max-age-expires).
MAX_AGE_SECONDS = 400 * 86_400
# UUIDs, and the ids that the pixel adopts from other scripts.
ID = re.compile(r"[\w.-]{8,128}", re.ASCII)
NO_ID = str(uuid.UUID(int=0))


def is_valid(value: str) -> bool:
    return bool(ID.fullmatch(value)) and value != NO_ID


def read_id(request: HttpRequest) -> str:
    """Return the id of the browser; '' without a valid one. The script's cookie is newer if they differ."""
    stated = (request.COOKIES.get(name, "") for name in (ID_COOKIE, TWIN_COOKIE))
    return next(filter(is_valid, stated), "")


def new_id() -> str:
    return str(uuid.uuid4())


def set_id(response: HttpResponse, value: str, *, secure: bool) -> None:
    """Set both cookies, '' deletes them."""
    for name in (ID_COOKIE, TWIN_COOKIE):
        if value:
            is_twin = name == TWIN_COOKIE
            response.set_cookie(name, value, max_age=MAX_AGE_SECONDS, secure=secure, httponly=is_twin, samesite="Lax")
        else:
            response.delete_cookie(name, samesite="Lax")


def sends_gpc(request: HttpRequest) -> bool:
    """Whether the browser sends the Global Privacy Control (w3c.github.io/gpc)."""
    return bool(request.META.get("HTTP_SEC_GPC", "").strip() == "1")
