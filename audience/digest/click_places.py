"""The places of an event where a click may be stated: URLs, install referrers, properties, the campaign."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from audience.digest import click_ids
from audience.digest.click_ids import AD_TAGS, CAMPAIGN, is_click_id

# Keys of context.campaign for the utm_* parameters of a URL.
CAMPAIGN_PARAMETERS = {"source": "utm_source", "medium": "utm_medium", "name": "utm_campaign"}
CAMPAIGN_PARAMETERS |= {"content": "utm_content", "term": "utm_term"}
# The URL of the page, whole or in parts.
CONTEXT_PAGE = ("page_url", "page_search")
PROPERTIES_PAGE = ("url", "search", "path", "page_url", "page_location", "tab_url")
PROPERTIES_REFERRER = ("referrer", "page_referrer")
LANDING_PAGE = "landing_page"
INSTALL_REFERRERS = ("install_referrer", "installReferrer")
# Names in properties of a URL by which an app was opened, as SDKs spell them.
LINKS = (
    *("install_referrer", "installReferrer", "deep_link", "deepLink", "deeplink", "deep_link_url", "deepLinkUrl"),
    *("deeplink_url", "deeplinkUrl", "deep_link_value", "launch_url", "launchUrl", "open_url", "openUrl"),
    *("referring_link", "~referring_link"),
)
# All of them for PostgreSQL (event_groups.IS_RELEVANT), which compares names exactly: the texts of the context, the
# names of URLs in properties, most of which state no click, and further names there.
CONTEXT_TEXTS = (*CONTEXT_PAGE, "page_referrer", "referrer", *INSTALL_REFERRERS)
PROPERTIES_URLS = (*PROPERTIES_PAGE, *PROPERTIES_REFERRER, LANDING_PAGE)
PROPERTIES_NAMES = (*LINKS, "campaign", "ScCid")
# In events with such a name the URL is that of a link which leads elsewhere: link_clicked, Product Shared.
LINK_EVENT = re.compile(r"click|tapped|share", re.IGNORECASE)
# Sent by the game engine's SDKs with the install referrer of Google Play, a query string, as `referrer`.
INSTALL_EVENT = "install_referrer_received"
DEEP_LINK_EVENT = re.compile(r"deep.?link", re.IGNORECASE)
SEPARATOR = re.compile(r"&(?:(?:amp|#38|#x26);)+|[&?#]", re.IGNORECASE)
# A longer text is no URL.
MAX_TEXT = 16_384


@dataclass(frozen=True, slots=True)
class Place:
    """Parameters that are stated together, by their names in lower case.

    `is_url`: they are from a URL. `only_ids`: campaign tags alone are no visit of this page. `is_repeated`: they may be
    those of an earlier visit, since this page has another URL.
    """

    parameters: Mapping[str, str]
    is_url: bool = False
    only_ids: bool = False
    is_repeated: bool = False

    @property
    def tags(self) -> dict[str, str]:
        return {name: self.parameters[name] for name in CAMPAIGN if name in self.parameters}

    @property
    def ad_tags(self) -> dict[str, str]:
        """What a URL says of its ad. It plays no part in whether the visit was paid for."""
        return {name: self.parameters[name] for name in dict.fromkeys(AD_TAGS.values()) if name in self.parameters}


NOWHERE = Place({})


def places(
    *,
    properties: Mapping[str, Any],
    context: Mapping[str, Any],
    name: str = "",
    table: Mapping[str, str] | None = None,
) -> Iterator[Place]:
    """Yield the places of an event with this name that state a parameter of the table, that of the newest click first.

    The URL of the page comes first: a newer click in the same tab is only there, while properties may still carry the
    one that opened the session.
    """
    table = table or click_ids.CLICK_IDS
    lowered = {str(key).lower(): value for key, value in properties.items()}
    page, urls = list(map(context.get, CONTEXT_PAGE)), list(map(lowered.get, PROPERTIES_PAGE))
    links = [lowered.get(link.lower()) for link in LINKS] + [context.get(link) for link in INSTALL_REFERRERS]
    is_install = name.lower() == INSTALL_EVENT
    # It is no page of this site from which the player came.
    links += [lowered.pop("referrer", None)] if is_install else []
    leads_elsewhere = LINK_EVENT.search(name) is not None and DEEP_LINK_EVENT.search(name) is None
    is_repeated = bool(text(page[0]))
    found = [
        Place(_texts(page if leads_elsewhere else [*page, *urls], table), is_url=True),
        Place(_texts(urls, table), is_url=True, only_ids=True) if leads_elsewhere else NOWHERE,
        Place(_texts(links, table), is_url=True),
        Place(_referrer(lowered, context, table), is_url=True, only_ids=True, is_repeated=is_repeated),
        Place(named(lowered, table), is_repeated=is_repeated),
        Place(named_in_campaign(context.get("campaign"), table)),
        Place(named_in_campaign(lowered.get("campaign"), table)),
        Place(_texts([lowered.get(LANDING_PAGE)], table), is_url=True, is_repeated=is_repeated),
    ]
    yield from (place for place in found if place.parameters)


def page_url(properties: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    """Return the URL of the page of a click; '' if it is not stated, or too long to be sent."""
    stated = (context.get("page_url"), *(properties.get(key) for key in ("url", "page_url", LANDING_PAGE)))
    urls = [value for value in map(text, stated) if value]
    # A deep link is not the URL of a page.
    pages = [value for value in urls if value == text(context.get("page_url")) or value.lower().startswith("http")]
    return pages[0] if pages else ""


def referrer(properties: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    return text(context.get("page_referrer")) or text(properties.get("referrer"))


def text(value: Any) -> str:
    """A text without outer spaces; '' for anything else."""
    return value.strip() if isinstance(value, str) else ""


def named(holder: Mapping[str, Any], table: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the parameters among the keys of an object, which are in lower case."""
    return {name: value for name in (*(table or click_ids.CLICK_IDS), *CAMPAIGN) if (value := text(holder.get(name)))}


def named_in_campaign(campaign: Any, table: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the parameters of a campaign (keys `source` or `utm_source`), which may contain a click id too."""
    if not isinstance(campaign, Mapping):
        return {}
    lowered = {str(key).lower(): value for key, value in campaign.items()}
    return named({CAMPAIGN_PARAMETERS.get(key, key): value for key, value in lowered.items()}, table)


def url_parameters(url: str, table: Mapping[str, str]) -> dict[str, str]:
    """Return the click ids and campaign tags in a URL, or in a query string.

    Read are query and fragment, also of a URL that is a parameter of this one or was percent-encoded once as a whole.
    """
    if not url or len(url) > MAX_TEXT:
        return {}
    parameters = _parameters(url, table)
    if "%" in url and not any(is_click_id(parameters.get(name, "")) for name in table):
        # A value of the first reading stays: decoded twice, an `&` of it would end it.
        parameters = {**_parameters(unquote(url), table), **parameters}
    return parameters


def _parameters(url: str, table: Mapping[str, str]) -> dict[str, str]:
    """Return the click ids and campaign tags: of a repeated one the last value, of click ids the last that is one."""
    found: dict[str, str] = {}
    for piece in SEPARATOR.split(url):
        name, is_stated, value = piece.partition("=")
        name = name.strip().lower().removeprefix("amp;")
        if not is_stated:
            continue
        if name in table:
            value = unquote(value).strip()
            if value and (is_click_id(value) or not is_click_id(found.get(name, ""))):
                found[name] = value
        elif name in CAMPAIGN or name in AD_TAGS:
            name = AD_TAGS.get(name, name)
            # PostgreSQL stores no NUL, which the URL has as %00.
            value = unquote(value.replace("+", " ")).replace("\0", "\ufffd").strip()
            found |= {name: value} if value else {}
    return found


def _texts(values: list[Any], table: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of several texts; those of an earlier one are preferred."""
    found: dict[str, str] = {}
    for value in filter(None, map(text, values)):
        parameters = url_parameters(value, table)
        found |= {
            name: stated
            for name, stated in parameters.items()
            if name not in found or name in table and is_click_id(stated) and not is_click_id(found[name])
        }
    return found


def _referrer(lowered: Mapping[str, Any], context: Mapping[str, Any], table: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of the page before, if it is of this site: a redirect may have lost them.

    Those of another site are of a click on an ad for that site.
    """
    segment = context.get("referrer")
    stated = [segment.get("url"), segment.get("link")] if isinstance(segment, Mapping) else [segment]
    values = [context.get("page_referrer"), *map(lowered.get, PROPERTIES_REFERRER), *stated]
    page = host(text(context.get("page_url")) or text(lowered.get("url")))
    return _texts([value for value in map(text, values) if is_same_site(host(value), page)], table)


def host(url: str) -> str:
    """Return the host of a URL in lower case; '' for a text that has none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def is_same_site(one: str, other: str) -> bool:
    """Whether two hosts are equal, one is part of the other, or one of them is unknown."""
    return not one or not other or one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
