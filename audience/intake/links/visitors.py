"""What a request on a tracking link says about its visitor: consent, and whether it is a person."""

import re

from django.http import HttpRequest

from audience.intake.requests.visitor_cookies import sends_gpc
from audience.models import LinkConsent, TrackingLink

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
# The Sec-Fetch-Dest of a page in a tab (www.w3.org/TR/fetch-metadata). Images, scripts and frames of other pages that
# load a link are no clicks of a player, and are a known way to claim the purchases of others.
OPENED = "document"


def is_automated(request: HttpRequest) -> bool:
    """Whether no person has opened the link: a program without or with a telling name, a part of another page, or a
    page loaded ahead."""
    agent = request.META.get("HTTP_USER_AGENT", "")
    if not agent or AUTOMATED.search(agent) or request.META.get("HTTP_SEC_FETCH_DEST", OPENED) != OPENED:
        return True
    return any(AHEAD.search(request.META.get(header, "")) for header in PURPOSE_HEADERS)


def consent_of(link: TrackingLink, request: HttpRequest) -> LinkConsent:
    """Return the consent level of a click; LinkConsent.GAME where none is stated and the game's setting decides later.

    Global Privacy Control (w3c.github.io/gpc) lowers it to none. So does a game that requires a recorded decision:
    at the time of the click none is known.
    """
    if sends_gpc(request):
        return LinkConsent.NONE
    if link.consent == LinkConsent.GAME and link.game.strict_consent:
        return LinkConsent.NONE
    return LinkConsent(link.consent)
