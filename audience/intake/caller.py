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


def browser_context(request: HttpRequest) -> dict[str, str]:
    """The player's address and user agent when the player's own browser calls us, else nothing.

    Browsers put an Origin on every cross-site POST and backends do not: without one the connection is a game
    server's, and its address must never reach an ad network as the player's.
    """
    if not request.headers.get("Origin"):
        return {}
    found = {"ip": caller_ip(request), "user_agent": request.headers.get("User-Agent", "")[:1024]}
    return {name: value for name, value in found.items() if value}
