"""Who is at the other end of the connection."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

from audience.intake.messages.message import Message, Rejected

# Of an origin: a host has at most 253 characters. A longer text is no origin.
LONGEST_ORIGIN = 300

Address = IPv4Address | IPv6Address
# RFC 7239, section 6: an IPv6 address that has a port stands in brackets. Azure's gateways add a port always.
BRACKETED = re.compile(r"\[([^\]]*)\](?::\d{1,5})?", re.ASCII)
WITH_PORT = re.compile(r"([0-9.]+):\d{1,5}", re.ASCII)
MAPPED = ip_network("::ffff:0:0/96")


def caller_ip(request: HttpRequest) -> str:
    """The caller's address, '' when unreadable; behind proxies of TRUSTED_PROXIES, what the outermost of them saw.

    Each proxy adds the address it was called from at the right end of X-Forwarded-For. So from the right on it is
    believed as far as our own proxies wrote it; whatever stands further left the caller may have made up. Of several
    such headers a server makes one, in their order.
    """
    trusted = tuple(settings.TRUSTED_PROXIES)
    return _believed(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""), trusted)


def read_address(text: str) -> Address | None:
    """An address as servers and proxies write it; None when it is none.

    `203.0.113.9`, `203.0.113.9:443`, `2001:db8::9`, `[2001:db8::9]`, `[2001:db8::9]:443`. A zone (`%eth0`) is left out,
    and an IPv4 address mapped into IPv6 (`::ffff:203.0.113.9`, what a socket for both says) is the IPv4 address.
    """
    text = text.strip()
    if match := BRACKETED.fullmatch(text) or WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


# A backend calls from one address all day. Few are kept, since a caller writes the header as long as it likes.
@lru_cache(maxsize=64)
def _believed(address: str, forwarded_for: str, proxies: tuple[str, ...]) -> str:
    forwarded = [part.strip() for part in forwarded_for.split(",")]
    while forwarded and _is_trusted(address, proxies):
        address = forwarded.pop() or address
    found = read_address(address)
    return str(found) if found else ""


def _is_trusted(address: str, proxies: tuple[str, ...]) -> bool:
    found = read_address(address)
    return found is not None and any(found in _network(proxy) for proxy in proxies)


def _network(proxy: str) -> IPv4Network | IPv6Network:
    """An entry of TRUSTED_PROXIES; one of mapped addresses is the IPv4 network, as the addresses are."""
    found = ip_network(proxy)
    if isinstance(found, IPv6Network) and isinstance(MAPPED, IPv6Network) and found.subnet_of(MAPPED):
        first = found.network_address.ipv4_mapped
        return ip_network(f"{first}/{found.prefixlen - MAPPED.prefixlen}")
    return found


def origin(request: HttpRequest) -> str:
    """The web page that sent the request, as its browser names it ("https://game.example"); '' when none does.

    An image is fetched without an Origin, so for GET the Referer stands in.
    """
    named = request.META.get("HTTP_ORIGIN", "")
    if not named and request.method in ("GET", "HEAD"):
        named = _origin_of(request.META.get("HTTP_REFERER", ""))
    return named.strip().lower() if len(named) <= LONGEST_ORIGIN and "\x00" not in named else ""


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme and parts.netloc else ""
    except ValueError:
        return ""


def stamp(request: HttpRequest, messages: Iterable[Message], rejected: Iterable[Rejected] = ()) -> None:
    """Add what the connection tells: the caller's address and origin, and, in the context, what a player's browser is.

    Browsers put an Origin on every cross-site POST and backends do not: without one the connection is a game
    server's, and its address must never reach an ad network as the player's.
    """
    ip, page = caller_ip(request), origin(request)
    agent = request.META.get("HTTP_USER_AGENT", "")[:1024]
    seen = {"ip": ip, "user_agent": agent} if request.META.get("HTTP_ORIGIN") else {}
    said = {name: value for name, value in seen.items() if value}
    for message in messages:
        message.request_ip, message.origin = ip, page
        message.context = {**said, **message.context}
    for refusal in rejected:
        refusal.request_ip, refusal.origin = ip, page
