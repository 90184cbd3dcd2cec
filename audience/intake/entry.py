"""The short way in for wire routes: past the middleware that pages need and no SDK has a use for."""

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls.resolvers import RoutePattern
from prometheus_client import Counter, Histogram

from audience.urls import urlpatterns

Respond = Callable[[HttpRequest], HttpResponseBase]

# Those with an argument in the address, and the `//` and trailing `/` of some SDKs, take the long way.
VIEWS: dict[str, Respond] = {
    f"/{entry.pattern}": entry.callback
    for entry in urlpatterns
    if isinstance(entry.pattern, RoutePattern) and not entry.pattern.converters
}
# Of this process, as everything that django-prometheus counts of the pages.
REQUESTS = Counter("afterclick_intake_requests", "Answers of wire routes, by route and status.", ["route", "status"])
SECONDS = Histogram(
    "afterclick_intake_seconds",
    "From a request on a wire route to its answer, the wait for the disk included.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


class IntakeMiddleware:
    """The outermost: sessions, CSRF, policies for pages and the like together take longer than taking an event in.

    A wire route authenticates by key and answers data, so none of them protects anything there. A request that has
    to be sent on to HTTPS goes the long way and is.
    """

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        view = VIEWS.get(request.path_info)
        if view is None or (settings.SECURE_SSL_REDIRECT and not request.is_secure()):
            return self.get_response(request)
        start = time.perf_counter()
        response = view(request)
        SECONDS.labels(request.path_info).observe(time.perf_counter() - start)
        REQUESTS.labels(request.path_info, response.status_code).inc()
        response.headers["X-Content-Type-Options"] = "nosniff"
        if isinstance(response, HttpResponse):
            response.headers["Content-Length"] = str(len(response.content))
        return response
