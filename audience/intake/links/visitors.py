"""What a request on a tracking link says about its visitor: consent, the cookie, and whether it is a person."""

import re
import uuid
from http.cookies import SimpleCookie

from django.http import HttpRequest

from audience.models import LinkConsent, TrackingLink

# The anonymous id of a browser; the name that the pixel uses too.
COOKIE = "ac_id"
# Chrome keeps a cookie for at most 400 days (developer.chrome.com/blog/cookie-max-age-expires).
COOKIE_SECONDS = 400 * 24 * 60 * 60
# Programs that follow links: crawlers, link previews of messengers and social networks, HTTP libraries. Their names
# contain one of these words, or the URL of their documentation, which no browser's name does. CUBOT makes phones.
AUTOMATED = re.compile(
    r"(?<!cu)bot\b|crawl|spider|slurp|preview|facebookexternalhit|facebookcatalog|meta-external|whatsapp/|embedly"
    r"|googleother|google-\w|adsbot|mediapartners|lighthouse|headlesschrome|pingdom|uptime|https?://"
    r"|^(curl|wget|python|go-http|java|okhttp|axios|node|ruby|libwww|apache-httpclient|postman|httpie)",
    re.IGNORECASE,
)
# Values of Sec-Purpose, Purpose, X-Purpose and X-Moz of a page that a browser loads before anyone opens it.
AHEAD = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
PURPOSE_HEADERS = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")


def is_automated(request: HttpRequest) -> bool:
    """Whether no person has opened the link: a program without or with a telling name, or a page loaded ahead."""
    agent = request.META.get("HTTP_USER_AGENT", "")
    if not agent or AUTOMATED.search(agent):
        return True
    return any(AHEAD.search(request.META.get(header, "")) for header in PURPOSE_HEADERS)


def consent_of(link: TrackingLink, request: HttpRequest) -> LinkConsent:
    """Return the consent level of a click; LinkConsent.GAME where none is stated and the game's setting decides later.

    Global Privacy Control (w3c.github.io/gpc) lowers it to none. So does a game that requires a recorded decision:
    at the time of the click none is known.
    """
    if request.META.get("HTTP_SEC_GPC", "").strip() == "1":
        return LinkConsent.NONE
    if link.consent == LinkConsent.GAME and link.game.strict_consent:
        return LinkConsent.NONE
    return LinkConsent(link.consent)


def visitor_id(request: HttpRequest) -> tuple[str, bool]:
    """Return the anonymous id of the browser, and whether it is new. A cookie that is no random UUID is replaced."""
    stated = request.COOKIES.get(COOKIE, "")
    try:
        known = uuid.UUID(stated)
    except ValueError:
        known = uuid.UUID(int=0)
    is_known = known.version is not None and str(known) == stated
    return (stated, False) if is_known else (str(uuid.uuid4()), True)


def cookie_header(value: str, *, secure: bool) -> str:
    """Return the value of Set-Cookie for an anonymous id."""
    cookie: SimpleCookie = SimpleCookie({COOKIE: value})
    morsel = cookie[COOKIE]
    morsel["max-age"], morsel["path"], morsel["samesite"], morsel["httponly"] = COOKIE_SECONDS, "/", "Lax", True
    morsel["secure"] = secure
    return morsel.OutputString()
