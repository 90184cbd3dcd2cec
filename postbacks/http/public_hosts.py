"""Calls to URLs that a user entered (alert webhooks, custom URLs), which must not reach the studio's internal network.

A name is resolved once, every address is checked, and the connection is made to a checked address, so that DNS
rebinding has no effect. Proxies of the environment are not used and redirects are not followed.
"""

import ipaddress
import re
import time
from collections.abc import Collection
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import Url, parse_url

from postbacks.http import connections, exchange
from postbacks.networks.interface.call import Request, Response

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# IPv6 prefixes of addresses that a gateway translates to IPv4 (RFC 6052, RFC 8215).
NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
# Ranges that Python 3.11.7 takes for public ones: of the IETF (RFC 6890; a cloud has its metadata there), relays of
# 6to4, site-local addresses (RFC 3879) and documentation (RFC 9637).
SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "3fff::/20")))
# Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1.
NUMERIC = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+))*\.?", re.IGNORECASE)

PRIVATE = "this address is not on the public internet"
FORBIDDEN = "forbidden"  # Response.failure


class ForbiddenAddress(HTTPError):
    """The host resolves to an address that must not be called."""


class _Checked(connections.Connection):
    """Mixin that refuses a host with a private address, unless the operator allows the host."""

    def __init__(self, *args: Any, private_hosts: Collection[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._private_hosts = private_hosts

    def _usable(self: Any, addresses: list[str]) -> list[str]:
        if not _is_allowed(self.host, self._private_hosts):
            for address in addresses:
                if address not in self._private_hosts and not is_public(address):
                    raise ForbiddenAddress(PRIVATE)
        return addresses


class _CheckedPlain(_Checked, connections.PlainConnection):
    pass


class _CheckedSecure(_Checked, connections.TLSConnection):
    pass


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet: not private, loopback, link-local, multicast, reserved or
    unspecified, nor an IPv6 form of such an IPv4 address.
    """
    parsed: Address = ipaddress.ip_address(address.partition("%")[0])
    inner = _embedded(parsed) if isinstance(parsed, ipaddress.IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    is_special = parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified
    return parsed.is_global and not is_special and not any(parsed in network for network in SPECIAL)


def _embedded(address: ipaddress.IPv6Address) -> Address | None:
    """Return the IPv4 address in a mapped, 6to4, Teredo, NAT64 or (deprecated) compatible IPv6 address."""
    number = int(address)
    if address.teredo:
        return address.teredo[1]
    if any(address in network for network in NAT64) or 1 < number < 1 << 32:
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def refusal(url: str, *, private_hosts: Collection[str] = ()) -> str:
    """Return why `url` must not be called, as the end of a sentence; '' if only its addresses remain to be checked."""
    try:
        parts = parse_url(url)
    except LocationParseError:
        return "this is not a URL"
    host = _host(parts)
    if parts.scheme not in ("http", "https") or not host:
        return "it must start with https:// and contain a host"
    if parts.auth is not None:
        return "it must not contain a user name or password"
    if _is_allowed(host, private_hosts):
        return ""
    if parts.scheme != "https":
        return "it must start with https://"
    try:
        return "" if is_public(host) else PRIVATE
    except ValueError:
        is_local = NUMERIC.fullmatch(host) or host == "localhost" or host.endswith(".localhost")
        return PRIVATE if is_local else ""


def post_to_public_host(request: Request, *, private_hosts: Collection[str] = (), timeout: float = 10.0) -> Response:
    """Send `request` like `exchange.post`, within `timeout` seconds, over a new connection.

    `private_hosts` are host names and addresses that may be private and may be called without TLS. A refused host gives
    a Response without a status whose `failure` is FORBIDDEN.
    """
    started = time.monotonic()
    try:
        if refusal(request.url, private_hosts=private_hosts):
            raise ForbiddenAddress(PRIVATE)
        with _pool(parse_url(request.url), private_hosts) as pool:
            status, headers, body = exchange.exchange(pool, request, parse_url(request.url).request_uri, timeout)
    except ForbiddenAddress:
        return Response(None, {}, b"", exchange.elapsed_ms(started), FORBIDDEN)
    except (HTTPError, ValueError) as error:
        return Response(None, {}, b"", exchange.elapsed_ms(started), exchange.failure(error))
    return exchange.answered(request, status, headers, body, exchange.elapsed_ms(started))


def _pool(url: Url, private_hosts: Collection[str]) -> HTTPConnectionPool:
    is_secure = url.scheme == "https"
    pool = (HTTPSConnectionPool if is_secure else HTTPConnectionPool)(
        url.host or "", url.port, maxsize=1, retries=False, private_hosts=private_hosts
    )
    pool.ConnectionCls = _CheckedSecure if is_secure else _CheckedPlain
    return pool


def _host(url: Url) -> str:
    return (url.host or "").strip("[]").rstrip(".").lower()


def _is_allowed(host: str, private_hosts: Collection[str]) -> bool:
    return host.strip("[]").rstrip(".").lower() in private_hosts
