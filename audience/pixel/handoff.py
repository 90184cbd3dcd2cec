"""Handing a visitor's id over to another domain of the studio, as a signed parameter of a link.

A token is valid for two minutes, for the same game, and for the browser that it was made for: otherwise anyone could
give an id to other people by a link.
"""

import re
from urllib.parse import quote, unquote, urlsplit

from django.core import signing
from django.http import HttpRequest

from audience.intake.requests.auth import find_key
from audience.intake.requests.caller import caller_ip
from audience.intake.requests.restrictions import allows_origin, parse_origin
from audience.models import ApiKey, KeyKind
from audience.models.keys import sha256_hex

PARAMETER = "ac_aid"
SALT = "audience.pixel.handoff"
MAX_AGE_SECONDS = 120
# A URL as browsers state that of a link. Of other characters some are left out, read as a slash, or converted: for a
# name such as straße.example, browsers open another host than the one that Python's codec `idna` returns.
PLAIN_URL = re.compile(r"https?://[!-\[\]-~]+")


def sending_key(value: str) -> ApiKey | None:
    """Return the live publishable key with this value."""
    return find_key(value, kinds=(KeyKind.PUBLISHABLE,)) if value else None


def is_allowed(target: str, *, key: ApiKey) -> bool:
    """Whether the origin of a URL is one of those that the key is restricted to."""
    if not PLAIN_URL.fullmatch(target):
        return False
    try:
        parts = urlsplit(target)
        origin = parse_origin(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        return False
    return bool(key.allowed_origins) and allows_origin(key, origin)


def with_token(target: str, *, visitor_id: str, key: ApiKey, request: HttpRequest) -> str:
    """Return the URL with a token for the id."""
    token = signing.dumps([visitor_id, key.game_id, _browser(request)], salt=SALT)
    parts = urlsplit(target)
    query = f"{parts.query}&" if parts.query else ""
    return parts._replace(query=f"{query}{PARAMETER}={quote(token)}").geturl()


def read_token(token: str, *, key: str, request: HttpRequest) -> str:
    """Return the id of a token; '' if it is not valid for the game of this key and this browser, or too old."""
    try:
        # As it is in the URL, or decoded.
        stated = signing.loads(unquote(token), salt=SALT, max_age=MAX_AGE_SECONDS)
    except signing.BadSignature:
        return ""
    visitor_id, game_id, browser = stated
    # Last, since it makes a query.
    found = sending_key(key) if browser == _browser(request) else None
    return str(visitor_id) if found and found.game_id == game_id else ""


def _browser(request: HttpRequest) -> str:
    return sha256_hex(f"{caller_ip(request)} {request.headers.get('User-Agent', '')}")[:16]
