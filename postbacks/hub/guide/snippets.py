"""Code snippets that point each SDK at this server (templates/hub/guide/snippets/)."""

import json
import uuid
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from audience.database import clock
from audience.models import ApiKey, Dialect
from postbacks.networks.interface.network import Network

NO_KEY = "YOUR_KEY"
NO_SERVER_KEY = "YOUR_SERVER_KEY"
LANDING = "https://your-game.example/"
CLICK_ID = "first-click"


@dataclass(frozen=True, slots=True)
class Sdk:
    """`tested` is shown on the page, as in docs/migrating.md. `note` is a sentence or ''."""

    key: str
    label: str
    dialect: Dialect
    language: str
    tested: bool
    note: str = ""


WEB = "The click is read from the page's address, so call page() on the page that your ads lead to."
SERVER = "A backend knows no address of a page by itself: pass on the one that the player came by."
SDKS = {
    sdk.key: sdk
    for sdk in (
        Sdk("curl", "curl", Dialect.IMMUTABLE, "Shell", True, "Each command works once: its messages carry their ids."),
        Sdk(
            "unity",
            "Immutable Unity",
            Dialect.IMMUTABLE,
            "C#",
            False,
            "It needs a version of the SDK whose AudienceConfig has BaseUrl. It sends game_launch by itself.",
        ),
        Sdk("web", "Immutable Web", Dialect.IMMUTABLE, "JavaScript", False, WEB),
        Sdk("rudder-js", "RudderStack JS", Dialect.RUDDERSTACK, "JavaScript", True, WEB),
        Sdk("rudder-node", "RudderStack Node", Dialect.RUDDERSTACK, "Node", True, SERVER),
        Sdk("segment-node", "Segment Node", Dialect.RUDDERSTACK, "Node", True, SERVER),
        Sdk("segment-python", "Segment Python", Dialect.RUDDERSTACK, "Python", True, SERVER),
        Sdk(
            "metarouter",
            "MetaRouter pixel",
            Dialect.METAROUTER,
            "HTML",
            True,
            "The event is the base64 text: make one for each page and player.",
        ),
        Sdk("parcelvoy", "Parcelvoy JS", Dialect.PARCELVOY, "JavaScript", False, SERVER),
    )
}


@dataclass(frozen=True, slots=True)
class Snippets:
    """First code (a page with an ad click, and an identify), then a purchase, then the same purchase from a server with
    a server key.
    """

    first: str
    purchase: str
    landing: str
    server: str


def render_snippets(sdk: Sdk, *, key: ApiKey | None, network: Network) -> Snippets:
    """Return the code for one key, with a click id as `network` writes it."""
    value = key.value if key else NO_KEY
    landing = f"{LANDING}?{network.click_param}={CLICK_ID}" if network.click_param else LANDING
    now = clock.now()
    context = {
        "key": value,
        "url": settings.PUBLIC_URL,
        "landing": landing,
        "click_param": network.click_param,
        "click_id": CLICK_ID,
        "now": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ids": [str(uuid.uuid4()) for _ in range(4)],
        "page_data": _data(value, landing, "page"),
        "purchase_data": _data(value, landing, "purchase"),
    }
    server = str(render_to_string("hub/guide/snippets/server.txt", {**context, "key": NO_SERVER_KEY})).strip()
    return Snippets(_code(sdk, "first", context), _code(sdk, "purchase", context), landing, server)


def _code(sdk: Sdk, part: str, context: dict[str, Any]) -> str:
    return str(render_to_string(f"hub/guide/snippets/{sdk.key}.txt", {**context, "part": part})).strip()


def _data(key: str, landing: str, part: str) -> str:
    """Return an event of MetaRouter's pixel: URL-safe base64 of its JSON."""
    template = render_to_string("hub/guide/snippets/pixel.json", {"key": key, "landing": landing, "part": part})
    return b64encode(json.dumps(json.loads(template)).encode(), altchars=b"-_").decode()
