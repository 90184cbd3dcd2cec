"""Who is at the other end of the connection."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

from audience.intake.message import Message


def caller_ip(request: HttpRequest) -> str:
    """The caller's address, '' when unreadable; behind proxies of TRUSTED_PROXIES, what the outermost of them saw.

    Each proxy adds the address it was called from at the right end of X-Forwarded-For. So from the right on it is
    believed as far as our own proxies wrote it; whatever stands further left the caller may have made up.
    """
    trusted = tuple(settings.TRUSTED_PROXIES)
    return _believed(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""), trusted)


# A backend calls from one address all day. Few are kept, since a caller writes the header as long as it likes.
@lru_cache(maxsize=64)
def _believed(address: str, forwarded_for: str, proxies: tuple[str, ...]) -> str:
    forwarded = [part.strip() for part in forwarded_for.split(",")]
    while forwarded and _trusted(address, proxies):
        address = forwarded.pop() or address
    try:
        return str(ip_address(address))
    except ValueError:
        return ""


def _trusted(address: str, proxies: tuple[str, ...]) -> bool:
    try:
        return any(ip_address(address) in ip_network(proxy) for proxy in proxies)
    except ValueError:
        return False


def stamp(request: HttpRequest, messages: Iterable[Message]) -> None:
    """Add what the connection tells: the caller's address, and, in the context, what a player's browser is.

    Browsers put an Origin on every cross-site POST and backends do not: without one the connection is a game
    server's, and its address must never reach an ad network as the player's.
    """
    ip = caller_ip(request)
    agent = request.META.get("HTTP_USER_AGENT", "")[:1024]
    seen = {"ip": ip, "user_agent": agent} if request.META.get("HTTP_ORIGIN") else {}
    said = {name: value for name, value in seen.items() if value}
    for message in messages:
        message.request_ip = ip
        message.context = {**said, **message.context}
