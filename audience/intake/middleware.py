"""Ingestion routes without the middleware that pages need, and their metrics."""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls.resolvers import RoutePattern
from prometheus_client import Counter, Histogram

from audience.intake.urls import urlpatterns

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# By exact path. Routes with an argument, and the forms `//route` and `route/`, use all of the middleware.
VIEWS: dict[str, Any] = {
    f"/{entry.pattern}": entry.callback
    for entry in urlpatterns
    if isinstance(entry.pattern, RoutePattern) and not entry.pattern.converters
}
REQUESTS = Counter("afterclick_intake_requests", "Answers of wire routes, by route and status.", ["route", "status"])
SECONDS = Histogram(
    "afterclick_intake_seconds",
    "Seconds from a request on a wire route to its answer, which follows the commit.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


class IntakeMiddleware:
    """The outermost middleware. The others (sessions, CSRF, security policies) take longer than storing an event, and
    protect nothing on an ingestion route, which authenticates by key and returns data.

    A request that has to be redirected to HTTPS passes through all of them.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        view = VIEWS.get(request.path_info)
        if view is None or must_be_https(request):
            return self.get_response(request)
        start = time.perf_counter()
        response: HttpResponseBase = view(request)
        observe(request, response, start)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if isinstance(response, HttpResponse):
            response.headers["Content-Length"] = str(len(response.content))
        return response


def observe(request: HttpRequest, response: HttpResponseBase, start: float) -> None:
    """Count the answer and its duration since `start`, a time of time.perf_counter()."""
    SECONDS.labels(request.path_info).observe(time.perf_counter() - start)
    REQUESTS.labels(request.path_info, response.status_code).inc()


def must_be_https(request: HttpRequest) -> bool:
    return bool(settings.SECURE_SSL_REDIRECT) and not request.is_secure()
