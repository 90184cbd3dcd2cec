"""Ingestion routes without the middleware that pages need, their metrics, and the ids of all requests."""

import re
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls.resolvers import RoutePattern
from prometheus_client import Counter, Histogram

from audience.intake.dialects.responses import as_json, error_envelope
from audience.intake.links.views import PREFIX as LINK_PREFIX
from audience.intake.links.views import LinkView
from audience.intake.requests.request_id import HEADER, request_id
from audience.intake.storing import allowance
from audience.intake.urls import urlpatterns

logger = structlog.get_logger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]
# Paths that only programs request: an unknown one is answered in JSON.
API_PATH = re.compile(r"/+(v1|api)(/|$)")
# The management API's own answers (RFC 9457).
PROBLEM = "application/problem+json"
# What is repeated of a path in an answer and in the log.
MAX_PATH_LENGTH = 200

# By exact path. Routes with an argument, and the forms `//route` and `route/`, use all of the middleware.
VIEWS: dict[str, Any] = {
    f"/{entry.pattern}": entry.callback
    for entry in urlpatterns
    if isinstance(entry.pattern, RoutePattern) and not entry.pattern.converters
}
# The view of all tracking links.
LINK_VIEW: Any = LinkView.as_view()
REQUESTS = Counter("afterclick_intake_requests", "Responses of wire routes, by route and status.", ["route", "status"])
SECONDS = Histogram(
    "afterclick_intake_seconds",
    "Seconds from a request on a wire route to its response, which is sent after the commit.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


class IntakeMiddleware:
    """The outermost middleware. The others (sessions, CSRF, security policies) take longer than storing an event, and
    protect nothing on an ingestion route, which authenticates by key and returns data.

    A request that has to be redirected to HTTPS passes through all of them.

    Every answer has the header X-Request-ID, and every log line of a request its id.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        value = request_id(request)
        with structlog.contextvars.bound_contextvars(request_id=value):
            response = self._answer(request)
        response.headers[HEADER] = value
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        view = view_of(request.path_info)
        if view is None or must_be_https(request):
            response = self.get_response(request)
            if not API_PATH.match(request.path_info):
                return response
            log_refusal(request, response.status_code)
            is_problem = response.headers.get("Content-Type") == PROBLEM
            return with_headers(not_found(request)) if response.status_code == 404 and not is_problem else response
        start = time.perf_counter()
        response = view(request)
        observe(request, response, start)
        return with_headers(response)


def view_of(path: str) -> Any:
    """The view of an ingestion route or a tracking link; None for a page."""
    return VIEWS.get(path) or (LINK_VIEW if path.startswith(LINK_PREFIX) else None)


def with_headers(response: HttpResponseBase) -> HttpResponseBase:
    """The response with the headers that the other middleware would have added."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    if isinstance(response, HttpResponse):
        response.headers["Content-Length"] = str(len(response.content))
    return response


def not_found(request: HttpRequest) -> HttpResponse:
    """The answer to a path that is no route: a client has to read an error, not a page."""
    path = request.path_info[:MAX_PATH_LENGTH]
    text = f"{path} is not a route of this server. Check the base URL and the path of the client."
    return as_json(error_envelope(request, "NOT_FOUND", text), status=404)


def observe(request: HttpRequest, response: HttpResponseBase, start: float) -> None:
    """Count the answer and its duration since `start`, a time of time.perf_counter(), and log a refusal."""
    # Tracking links are one route, since anyone can request any slug.
    route = LINK_PREFIX if request.path_info.startswith(LINK_PREFIX) else request.path_info
    SECONDS.labels(route).observe(time.perf_counter() - start)
    REQUESTS.labels(route, response.status_code).inc()
    log_refusal(request, response.status_code)


def log_refusal(request: HttpRequest, status: int) -> None:
    """Log an error of the client; so many lines that a client which sends nothing else does not fill the disk."""
    if 400 <= status < 500 and allowance.take_log_line():
        logger.info("request_refused", method=request.method, path=request.path_info[:MAX_PATH_LENGTH], status=status)


def must_be_https(request: HttpRequest) -> bool:
    return bool(settings.SECURE_SSL_REDIRECT) and not request.is_secure()
