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

KEY_PLACEHOLDER = "YOUR_KEY"
SERVER_KEY_PLACEHOLDER = "YOUR_SERVER_KEY"
LANDING_URL = "https://your-game.example/"
CLICK_ID = "first-click"


@dataclass(frozen=True, slots=True)
class Sdk:
    """`tested`: whether tests run this SDK, as docs/migrating.md lists. `note` is a sentence or ''."""

    key: str
    label: str
    dialect: Dialect
    language: str
    tested: bool
    note: str = ""


WEB_NOTE = "The click is read from the page's address, so call page() on the page that your ads lead to."
SERVER_NOTE = "A backend does not know the URL of the page. Pass the landing page URL of the player."
SDKS = {
    sdk.key: sdk
    for sdk in (
        Sdk(
            "curl",
            "curl",
            Dialect.IMMUTABLE,
            "Shell",
            True,
            "Each command works once, because its messages have fixed IDs.",
        ),
        Sdk(
            "unity",
            "Immutable Unity",
            Dialect.IMMUTABLE,
            "C#",
            False,
            "Requires a version of the SDK whose AudienceConfig has BaseUrl. The SDK sends game_launch automatically.",
        ),
        Sdk("web", "Immutable Web", Dialect.IMMUTABLE, "JavaScript", False, WEB_NOTE),
        Sdk("rudder-js", "RudderStack JS", Dialect.RUDDERSTACK, "JavaScript", True, WEB_NOTE),
        Sdk("rudder-node", "RudderStack Node", Dialect.RUDDERSTACK, "Node", True, SERVER_NOTE),
        Sdk("segment-node", "Segment Node", Dialect.RUDDERSTACK, "Node", True, SERVER_NOTE),
        Sdk("segment-python", "Segment Python", Dialect.RUDDERSTACK, "Python", True, SERVER_NOTE),
        Sdk(
            "metarouter",
            "MetaRouter pixel",
            Dialect.METAROUTER,
            "HTML",
            True,
            "The event is the base64 text. Create one for each page and player.",
        ),
        Sdk("parcelvoy", "Parcelvoy JS", Dialect.PARCELVOY, "JavaScript", False, SERVER_NOTE),
    )
}


@dataclass(frozen=True, slots=True)
class Snippets:
    """`first` sends a page with an ad click and an identify, `purchase` a purchase, and `server` the same purchase from
    a server with a server key. `landing` is the URL of the page.
    """

    first: str
    purchase: str
    landing: str
    server: str


def render_snippets(sdk: Sdk, *, key: ApiKey | None, click_param: str) -> Snippets:
    """Return the code for one key, with a click id in the URL parameter `click_param`; '' for code without a click."""
    value = key.value if key else KEY_PLACEHOLDER
    landing = f"{LANDING_URL}?{click_param}={CLICK_ID}" if click_param else LANDING_URL
    now = clock.now()
    context = {
        "key": value,
        "url": settings.PUBLIC_URL,
        "landing": landing,
        "click_param": click_param,
        "click_id": CLICK_ID,
        "now": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ids": [str(uuid.uuid4()) for _ in range(4)],
        "page_data": _pixel_event(value, landing, "page"),
        "purchase_data": _pixel_event(value, landing, "purchase"),
    }
    server = str(render_to_string("hub/guide/snippets/server.txt", {**context, "key": SERVER_KEY_PLACEHOLDER})).strip()
    return Snippets(_code(sdk, "first", context), _code(sdk, "purchase", context), landing, server)


def _code(sdk: Sdk, part: str, context: dict[str, Any]) -> str:
    return str(render_to_string(f"hub/guide/snippets/{sdk.key}.txt", {**context, "part": part})).strip()


def _pixel_event(key: str, landing: str, part: str) -> str:
    """Return an event of MetaRouter's pixel: URL-safe base64 of its JSON."""
    template = render_to_string("hub/guide/snippets/pixel.json", {"key": key, "landing": landing, "part": part})
    return b64encode(json.dumps(json.loads(template)).encode(), altchars=b"-_").decode()
