"""The rate limit of a token: a number of requests per minute, counted in the shared cache.

Answers to a valid token have RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers): what is allowed,
what remains, and the seconds until it is allowed again.
"""

from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

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


class LimitedView(APIView):
    """A view that counts the requests of each token, also those that its permissions refuse."""

    throttle_classes = (TokenThrottle,)
    rate: dict[str, int]

    def check_permissions(self, request: Request) -> None:
        # DRF's order is the reverse: requests answered 403 or 404 would not count.
        super().check_throttles(request)
        super().check_permissions(request)

    def check_throttles(self, request: Request) -> None:
        """Done by `check_permissions`."""

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if hasattr(self, "rate"):
            add_headers(response, self.rate)
        return response


def _count(key: str) -> int:
    """Count a request and return how many there were; 0 if the count was lost with the cache."""
    try:
        return int(cache.incr(key))
    except ValueError:
        return 0


def add_headers(response: Response, rate: dict[str, int]) -> None:
    response["RateLimit-Policy"] = f'"token";q={rate["limit"]};w={WINDOW_SECONDS}'
    response["RateLimit"] = f'"token";r={rate["remaining"]};t={rate["reset"]}'
