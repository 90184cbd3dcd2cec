"""Who is at the other end of the connection."""

from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def caller_ip(request: HttpRequest) -> str:
    """The caller's address; behind a proxy of TRUSTED_PROXIES, the first of X-Forwarded-For. '' when unreadable."""
    direct = request.META.get("REMOTE_ADDR", "")
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")[0].strip()
    address = forwarded if forwarded and _trusted(direct) else direct
    try:
        return str(ip_address(address))
    except ValueError:
        return ""


def _trusted(address: str) -> bool:
    try:
        return any(ip_address(address) in ip_network(proxy) for proxy in settings.TRUSTED_PROXIES)
    except ValueError:
        return False


def seen_by_us(request: HttpRequest) -> dict[str, str]:
    """What the connection adds to a message's context: request_ip always, ip and user_agent from a player's browser.

    Browsers put an Origin on every cross-site POST and backends do not: without one the connection is a game
    server's, and its address must never reach an ad network as the player's.
    """
    found = {"request_ip": caller_ip(request)}
    if request.headers.get("Origin"):
        found |= {"ip": found["request_ip"], "user_agent": request.headers.get("User-Agent", "")[:1024]}
    return {name: value for name, value in found.items() if value}
