"""The rate limit of a token: a number of requests per minute, counted in the shared cache.

Every answer has RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers): what is allowed, what remains
and the seconds until it is allowed again.
"""

from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from audience.database import clock

WINDOW_SECONDS = 60


class TokenThrottle(BaseThrottle):
    """API_REQUESTS_PER_MINUTE requests of each token."""

    def allow_request(self, request: Request, view: Any) -> bool:
        limit, now = settings.API_REQUESTS_PER_MINUTE, clock.now().timestamp()
        key = f"api-rate:{request.auth.pk}:{int(now // WINDOW_SECONDS)}"
        cache.add(key, 0, 2 * WINDOW_SECONDS)
        used = _count(key)
        self.seconds_left = WINDOW_SECONDS - int(now % WINDOW_SECONDS)
        view.rate = {"limit": limit, "remaining": max(0, limit - used), "reset": self.seconds_left}
        return used <= limit

    def wait(self) -> float:
        return self.seconds_left


def _count(key: str) -> int:
    """Count a request and return how many there were; 0 if the count was lost with the cache."""
    try:
        return int(cache.incr(key))
    except ValueError:
        return 0


def add_headers(response: Response, rate: dict[str, int]) -> None:
    response["RateLimit-Policy"] = f'"token";q={rate["limit"]};w={WINDOW_SECONDS}'
    response["RateLimit"] = f'"token";r={rate["remaining"]};t={rate["reset"]}'
