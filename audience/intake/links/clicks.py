"""A click on a tracking link as a message of the kind page, and the address to which it leads."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.http import HttpRequest

from audience.digest.click_ids import AD_TAGS, CAMPAIGN, MAX_LENGTH, is_click_id
from audience.digest.click_places import SEPARATOR, url_parameters
from audience.digest.named_parameters import table_of
from audience.intake.links.destinations import add_parameters
from audience.intake.messages.message import Message
from audience.intake.requests.caller import caller_ip
from audience.models import Game, Kind, LinkConsent, TrackingLink
from audience.models.events import LINK_SURFACE

LIBRARY = "Tracking link"
MAX_AGENT, MAX_REFERRER = 1024, 2048
# A longer value of a UTM parameter is left out: nothing is sent cut.
MAX_TAG_LENGTH = 512
# Common servers refuse a longer request line.
MAX_LOCATION = 8_000
STORED_TAGS = frozenset({*CAMPAIGN, *AD_TAGS.values()})


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a request that Afterclick reads: `ids` by the names as sent, `tags` by their usual names."""

    ids: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def query(self) -> str:
        return urlencode({**self.ids, **self.tags})


def read_parameters(game: Game, query: str) -> Parameters:
    """Return the click ids and UTM parameters of a query; nothing else of it is stored or passed on."""
    table = table_of(game)
    found = url_parameters(f"?{query}" if query else "", table)
    written = {piece.partition("=")[0].strip().lower(): piece.partition("=")[0].strip() for piece in _pieces(query)}
    ids = {written.get(name, name): value for name, value in found.items() if name in table and _fits(value)}
    tags = {name: value for name, value in found.items() if name in STORED_TAGS and len(value) <= MAX_TAG_LENGTH}
    return Parameters(ids, tags)


def target_url(link: TrackingLink, parameters: Parameters) -> str:
    """Return the destination with the UTM parameters, and for a website with the click ids of the request."""
    words = {name: value for name, value in parameters.tags.items() if name in CAMPAIGN and name not in link.tags}
    ids = {} if link.store else {name: value for name, value in parameters.ids.items() if is_click_id(value)}
    url = add_parameters(link.destination, tags=link.tags, others={**words, **ids})
    return url if len(url) <= MAX_LOCATION else add_parameters(link.destination, tags=link.tags, others={})


def page_url(link: TrackingLink, parameters: Parameters) -> str:
    """Return the URL of the landing page of a click: that of the link with the UTM parameters that count."""
    query = urlencode({**parameters.ids, **parameters.tags, **link.tags})
    return f"{link.url}?{query}" if query else link.url


def message_of(
    link: TrackingLink,
    parameters: Parameters,
    request: HttpRequest,
    *,
    anonymous_id: str,
    level: LinkConsent,
    received_at: datetime,
) -> Message:
    """Return the message of a click, whose level is not none. At anonymous it has neither address nor agent."""
    url = page_url(link, parameters)
    context = {"page_url": url, "page_path": link.path, "library": LIBRARY}
    ip = "" if level == LinkConsent.ANONYMOUS else caller_ip(request)
    if level != LinkConsent.ANONYMOUS:
        headers = {
            "ip": ip,
            "user_agent": _header(request, "HTTP_USER_AGENT", MAX_AGENT),
            "page_referrer": _header(request, "HTTP_REFERER", MAX_REFERRER),
        }
        context |= {name: value for name, value in headers.items() if value}
    return Message(
        kind=Kind.PAGE,
        message_id=str(uuid.uuid4()),
        event_at=received_at,
        day=received_at.date(),
        anonymous_id=anonymous_id,
        surface=LINK_SURFACE,
        request_ip=ip,
        consent_level=level.value,
        properties={"link": link.slug},
        context=context,
        raw={"link": link.slug, "url": url},
    )


def _pieces(query: str) -> list[str]:
    return SEPARATOR.split(query)


def _fits(value: str) -> bool:
    return len(value) <= MAX_LENGTH


def _header(request: HttpRequest, name: str, limit: int) -> str:
    """Return a header that can be stored; a longer one is left out if it is a URL, since a part of it is another."""
    text = request.META.get(name, "").replace("\x00", "")
    return text[:limit] if name == "HTTP_USER_AGENT" else text if len(text) <= limit else ""
