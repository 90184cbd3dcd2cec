"""Checks the destination of a tracking link, and adds the parameters of a click to it.

A request decides about the values of some parameters only, never about scheme, host, path or fragment.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from django.conf import settings

from audience.intake.requests.host_names import AMBIGUOUS, DEVIATIONS
from audience.models.links import MAX_DESTINATION

# Whitespace, control characters and backslashes, which browsers read in other ways than urlsplit.
UNSAFE = re.compile(r"[\s\x00-\x1f\x7f\\]")
# Browsers read a host whose last label is a number as an IPv4 address (url.spec.whatwg.org, "ends in a number").
ENDS_IN_NUMBER = re.compile(r"(^|\.)(\d+|0x[0-9a-f]*)$")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# Names of private networks (RFC 6762, RFC 8375, RFC 9476, ICANN's reservation of .internal).
PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".intranet", ".corp", ".home")
INCOMPLETE = "Enter a complete URL that begins with https:// or http://, such as https://game.example/play."
PRIVATE = "The destination is an address of a private network. Players cannot open it."
# Characters of a path, a query and a fragment that are not percent-encoded (RFC 3986), and the percent sign.
KEPT = "/#%[]=:;$&()+,!?*@'~"


class DestinationRefused(ValueError):
    """Why a destination cannot be saved, as a sentence."""


def read_destination(entered: str) -> str:
    """Return the URL as it is stored: ASCII, the host in lower case. Raises DestinationRefused."""
    text = entered.strip()
    if UNSAFE.search(text):
        raise DestinationRefused("A URL has no spaces, line breaks or backslashes.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise DestinationRefused(INCOMPLETE) from None
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise DestinationRefused(INCOMPLETE)
    if "@" in parts.netloc:
        raise DestinationRefused("A URL with a user name or password cannot be a destination.")
    netloc = _read_host(host) + (f":{port}" if port is not None else "")
    path, query, fragment = (quote(part, safe=KEPT) for part in (parts.path or "/", parts.query, parts.fragment))
    stored = urlunsplit((parts.scheme.lower(), netloc, path, query, fragment))
    if len(stored) > MAX_DESTINATION:
        raise DestinationRefused(f"A destination has at most {MAX_DESTINATION} characters.")
    if stored.startswith(f"{settings.PUBLIC_URL}/go/"):
        raise DestinationRefused("The destination is a tracking link. Enter the page to which it leads.")
    return stored


def add_parameters(destination: str, *, tags: Mapping[str, str], others: Mapping[str, str]) -> str:
    """Return the destination with these parameters: `tags` replace those of the same name, `others` do not."""
    if not tags and not others:
        return destination
    parts = urlsplit(destination)
    present = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in present}
    added = {**tags, **{name: value for name, value in others.items() if name not in names and name not in tags}}
    # Parameters that are kept stay as they are written: decoding and encoding them could change their meaning.
    pieces = [piece for piece in parts.query.split("&") if piece and _name(piece) not in tags]
    query = "&".join([*pieces, *([urlencode(added, quote_via=quote)] if added else [])])
    return urlunsplit(parts._replace(query=query))


def _name(piece: str) -> str:
    return next((name for name, _ in parse_qsl(piece, keep_blank_values=True)), "")


def _read_host(host: str) -> str:
    """Return the host in ASCII. Raises DestinationRefused for one that players cannot reach."""
    try:
        address = ip_address(host)
    except ValueError:
        return _read_name(host)
    if not address.is_global or address.is_multicast:
        raise DestinationRefused(PRIVATE)
    return f"[{address}]" if address.version == 6 else str(address)


def _read_name(host: str) -> str:
    if DEVIATIONS.search(host):
        raise DestinationRefused(AMBIGUOUS)
    try:
        name = host.encode("idna").decode().lower().rstrip(".")
    except UnicodeError:
        raise DestinationRefused(INCOMPLETE) from None
    if ENDS_IN_NUMBER.search(name) or f".{name}".endswith(PRIVATE_SUFFIXES) or "." not in name:
        raise DestinationRefused(PRIVATE)
    if not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise DestinationRefused(INCOMPLETE)
    return name
