"""The address and the origin of a request."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest

from audience.intake.messages.message import Message, Rejected

# A host name has at most 253 characters.
MAX_ORIGIN_LENGTH = 300

Address = IPv4Address | IPv6Address
# RFC 7239, section 6: an IPv6 address with a port is in brackets. Azure's gateways always add a port.
BRACKETED = re.compile(r"\[([^\]]*)\](?::\d{1,5})?", re.ASCII)
WITH_PORT = re.compile(r"([0-9.]+):\d{1,5}", re.ASCII)
# Repeated zeros in front of a number: 000.000.000.000 is another form of 0.0.0.0, which ip_address() refuses.
ZEROS = re.compile(r"(?<![0-9A-Fa-f])00+(?![0-9A-Fa-f])", re.ASCII)
# The longest form of an IPv6 address with a port and a zone is shorter.
MAX_ADDRESS_LENGTH = 80
# That of ::ffff:0:0/96, the range of IPv4-mapped addresses.
MAPPED_PREFIX_LENGTH = 96
# Providers assign at least this much to one client (RFC 6177).
NETWORK_PREFIX_LENGTH = 64


def caller_ip(request: HttpRequest) -> str:
    """The client's address, '' when it is unreadable; behind TRUSTED_PROXIES, that of the outermost proxy's client.

    Each proxy appends the address of its client to X-Forwarded-For. The entries are therefore read from the right, as
    long as trusted proxies wrote them; the client may have invented the others. A server joins several such headers in
    their order.
    """
    trusted = tuple(settings.TRUSTED_PROXIES)
    return _client_address(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""), trusted)


def read_address(text: str) -> Address | None:
    """An address as servers and proxies write it; None when it is not an address.

    `203.0.113.9`, `203.0.113.9:443`, `2001:db8::9`, `[2001:db8::9]`, `[2001:db8::9]:443`. A zone (`%eth0`) is removed,
    and an IPv4-mapped IPv6 address (`::ffff:203.0.113.9`, from a dual-stack socket) becomes the IPv4 address.
    """
    text = text.strip()
    if match := BRACKETED.fullmatch(text) or WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """What a limit per client counts: an IPv4 address, or the network (/64) of an IPv6 address, of which one client may
    use each address. An unreadable address is returned unchanged."""
    parsed = read_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, NETWORK_PREFIX_LENGTH), strict=False))
    return str(parsed) if parsed else address


# A backend keeps its address for a long time. The cache is small, since the client chooses the length of the header.
@lru_cache(maxsize=64)
def _client_address(address: str, forwarded_for: str, proxies: tuple[str, ...]) -> str:
    forwarded = [part.strip() for part in forwarded_for.split(",")]
    while forwarded and is_in_networks(address, proxies):
        address = forwarded.pop() or address
    parsed = read_address(address)
    return str(parsed) if parsed else ""


@lru_cache(maxsize=1024)
def is_in_networks(address: str, networks: tuple[str, ...]) -> bool:
    """Whether the address is in one of the networks; False if it is unreadable."""
    parsed = read_address(address)
    return parsed is not None and any(parsed in read_network(network) for network in networks)


@lru_cache(maxsize=1024)
def read_network(text: str) -> IPv4Network | IPv6Network:
    """An address or a CIDR range. A range of IPv4-mapped addresses becomes the IPv4 range. Raises ValueError."""
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < MAPPED_PREFIX_LENGTH:
        return network
    return ip_network(f"{mapped}/{network.prefixlen - MAPPED_PREFIX_LENGTH}")


def origin(request: HttpRequest) -> str:
    """The origin that the browser states ("https://game.example"); '' when there is none.

    Images are requested without an Origin header, so the Referer is used for GET.
    """
    stated = request.META.get("HTTP_ORIGIN", "")
    if not stated and request.method in ("GET", "HEAD"):
        stated = _origin_of(request.META.get("HTTP_REFERER", ""))
    return stated.strip().lower() if len(stated) <= MAX_ORIGIN_LENGTH and "\x00" not in stated else ""


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme and parts.netloc else ""
    except ValueError:
        return ""


def record_caller(request: HttpRequest, messages: Iterable[Message], rejected: Iterable[Rejected] = ()) -> None:
    """Add the caller's address and origin to the messages, and a browser's address and user agent to their context.

    Browsers send an Origin with every cross-site POST, backends do not. Without one the caller is a game server, whose
    address must never be sent to an ad network as the player's.

    No address is recorded where the context states 0.0.0.0 or ::, with which clients of Segment opt out
    (github.com/segmentio/analytics-kotlin/issues/266). The context then has `ip` None.
    """
    ip, caller_origin = caller_ip(request), origin(request)
    user_agent = request.META.get("HTTP_USER_AGENT", "")[:1024]
    browser = {"ip": ip, "user_agent": user_agent} if request.META.get("HTTP_ORIGIN") else {}
    context = {name: value for name, value in browser.items() if value}
    for message in messages:
        message.request_ip, message.origin = ip, caller_origin
        if is_opt_out(message.context.get("ip")):
            message.request_ip = ""
            message.raw = {name: value for name, value in message.raw.items() if name != "ip"}
            message.context = {**message.context, "ip": None}
        message.context = {**context, **message.context}
    for rejection in rejected:
        stated_ip = _context_ip(rejection.raw) or _context_ip({"context": rejection.envelope.get("context")})
        is_left_out = rejection.is_suppressed or is_opt_out(stated_ip)
        rejection.request_ip, rejection.origin = "" if is_left_out else ip, caller_origin


def is_opt_out(stated: Any) -> bool:
    """Whether a stated address is 0.0.0.0 or ::, in any spelling."""
    if not isinstance(stated, str) or len(stated) > MAX_ADDRESS_LENGTH:
        return False
    address = read_address(ZEROS.sub("0", stated))
    return address is not None and address.is_unspecified


def _context_ip(raw: Any) -> Any:
    context = raw.get("context") if isinstance(raw, dict) else None
    return context.get("ip") if isinstance(context, dict) else None
