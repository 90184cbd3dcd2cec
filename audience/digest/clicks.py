"""Reads an ad click from an event, by URL parameters and campaign tags.

The order and the names of networks follow the Immutable Audience attribution rules; the first rule that fits decides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# Query parameter -> network. register() replaces `other` where there are postbacks to the network.
CLICK_IDS = {
    "fbclid": "meta",
    "ttclid": "other",
    "gclid": "google",
    "dclid": "google",
    "rdt_cid": "other",
    "twclid": "x",
    "msclkid": "other",
    "li_fat_id": "other",
}
# Values of utm_source that always mean a paid visit.
PAID_SOURCES = {"amazon_ads": "amazon", "adwords": "google", "ironsource": "other"}
# Values of utm_source that mean a paid visit with a paid utm_medium.
SOURCES = {
    "facebook": "meta",
    "fb": "meta",
    "meta": "meta",
    "instagram": "meta",
    "ig": "meta",
    "google": "google",
    "youtube": "google",
    "x": "x",
    "twitter": "x",
    "linkedin": "other",
}
PAID_MEDIA = frozenset({"paid", "paid_social", "paidsocial", "cpc", "cpm", "ppc", "ads", "sponsored_post"})
CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "referral_code")
# Network -> its cookies that identify a browser, sent unchanged.
COOKIES: dict[str, tuple[str, ...]] = {}
# Keys of context.campaign for the utm_* parameters of a URL.
CAMPAIGN_PARAMETERS = {"source": "utm_source", "medium": "utm_medium", "name": "utm_campaign"}
CAMPAIGN_PARAMETERS |= {"content": "utm_content", "term": "utm_term"}

MAX_LENGTH = 2048
MAX_COOKIE_LENGTH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A paid visit. `click_id` is '' if only UTM parameters identify it."""

    network: str
    click_id: str
    campaign: dict[str, str]
    page_url: str
    referrer: str
    cookies: dict[str, str]

    @property
    def browser_id(self) -> str:
        """The first of the network's cookies; '' without one."""
        return next(iter(self.cookies.values()), "")


def register(network: str, *, parameters: Iterable[str], sources: Iterable[str], cookies: Iterable[str]) -> None:
    """Add a network that has postbacks: its click parameters, its values of utm_source and its cookies.

    A parameter of CLICK_IDS keeps its position there, any other is added last. Called at start-up.
    """
    CLICK_IDS.update((parameter.lower(), network) for parameter in parameters)
    SOURCES.update((source, network) for source in sources)
    COOKIES[network] = tuple(cookies)


def read(*, properties: Mapping[str, Any], context: Mapping[str, Any]) -> Click | None:
    """Return the ad click of an event; None for an organic one.

    The page URL is read first: it contains a newer click in the same tab, while properties may still contain the click
    that opened the session.
    """
    page_url = _text(context.get("page_url"))
    for parameters in (_query(page_url), _parameters(properties), _campaign_parameters(context.get("campaign"))):
        network, click_id = _network(parameters)
        if network:
            return Click(
                network=network,
                click_id=click_id,
                campaign={name: parameters[name] for name in CAMPAIGN if parameters.get(name)},
                page_url=page_url or _text(properties.get("landing_page")),
                referrer=_text(context.get("page_referrer")) or _text(properties.get("referrer")),
                cookies=_cookies(network, properties, context),
            )
    return None


def _network(parameters: Mapping[str, str]) -> tuple[str, str]:
    """Return (network, click id) of a paid visit, or ('', '')."""
    for name, network in CLICK_IDS.items():
        # Click ids of networks are ASCII. MAX_LENGTH other characters may not fit into a B-tree row (2,704 bytes).
        if parameters.get(name) and parameters[name].isascii():
            return network, parameters[name]
    source = parameters.get("utm_source", "").lower()
    if source in PAID_SOURCES:
        return PAID_SOURCES[source], ""
    medium = parameters.get("utm_medium", "").lower()
    if source in SOURCES and (medium in PAID_MEDIA or medium.startswith("pmax")):
        return SOURCES[source], ""
    return "", ""


def _query(url: str) -> dict[str, str]:
    """Return {parameter: value} of a URL, with the last value of a repeated parameter; {} for an invalid URL."""
    try:
        query = urlsplit(url).query
    except ValueError:
        return {}
    # PostgreSQL cannot store NUL, which a URL may contain as %00.
    pairs = [(name.lower(), value.replace("\0", "\ufffd").strip()) for name, value in parse_qsl(query)]
    return {name: value for name, value in pairs if value}


def _parameters(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: text for name in (*CLICK_IDS, *CAMPAIGN) if (text := _text(values.get(name)))}


def _campaign_parameters(campaign: Any) -> dict[str, str]:
    """Return the parameters of context.campaign (keys `source` or `utm_source`), which may contain a click id too."""
    if not isinstance(campaign, Mapping):
        return {}
    return _parameters({CAMPAIGN_PARAMETERS.get(str(name), str(name)): value for name, value in campaign.items()})


def _cookies(network: str, properties: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, str]:
    """Return {cookie name: value} of the network's cookies; senders may omit a name's leading underscore.

    A value that is too long is left out, since a network cannot match a cut one.
    """
    cookies = {}
    for cookie in COOKIES.get(network, ()):
        names = (cookie, cookie.lstrip("_"))
        values = (_text(source.get(name)) for name in names for source in (properties, context))
        cookies[cookie] = next(filter(None, values), "")
    return {cookie: value for cookie, value in cookies.items() if 0 < len(value) <= MAX_COOKIE_LENGTH}


def _text(value: Any) -> str:
    return value.strip()[:MAX_LENGTH] if isinstance(value, str) else ""
