"""GET /go/<slug>: stores a click and redirects to the destination of a tracking link.

A player must not see an error: whatever happens to the click, a link that is known redirects.
"""

import asyncio
from functools import cache
from http import HTTPStatus

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string

from audience.intake.dialects.base import IngestView
from audience.intake.dialects.responses import Refusal, RequestProblem
from audience.intake.dialects.route import RETRY_AFTER_SECONDS
from audience.intake.links import clicks, counting, pace, visitors
from audience.intake.links.lookup import CachedLink, find_known, find_link
from audience.intake.messages.message import Message
from audience.intake.requests import suppressed_ids, visitor_cookies
from audience.intake.requests.caller import caller_ip
from audience.intake.storing.rows import Submission
from audience.intake.storing.write_queue import Overloaded
from audience.models import Dialect, LinkConsent

logger = structlog.get_logger(__name__)

PREFIX = "/go/"
# A commit takes milliseconds. After this time the player is redirected and the click may be lost.
MAX_WAIT_SECONDS = 1.0
# The answer is a page without scripts, forms and frames.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ERRORS = (DatabaseError, InterfaceError, Overloaded, TimeoutError)


class LinkView(IngestView):
    """Reads the slug from the path, since a request on the event loop is not routed by Django."""

    http_method_names = ["get", "head", "options"]
    # That of the events; the message is in no client's format.
    dialect = Dialect.IMMUTABLE

    def cors(self, request: HttpRequest) -> dict[str, str]:
        """None: a page of another site cannot read where a link leads."""
        return {}

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        return Refusal(_page("not_available", 405 if problem == RequestProblem.METHOD else 503))

    async def get(self, request: HttpRequest, link: str = "") -> HttpResponseBase:
        found = find_link(slug_of(request))
        if found is None:
            return _page("not_found", 404)
        parameters = _parameters(found, request)
        response = _redirect(clicks.target_url(found.link, parameters))
        if visitors.is_automated(request):
            return response
        level = visitors.consent_of(found.link, request)
        if level == LinkConsent.NONE:
            counting.count(found.link, self.received_at, outcome="counted")
            return response
        if not pace.take(caller_ip(request)):
            counting.count(found.link, self.received_at, outcome="limited")
            return response
        anonymous_id = visitor_cookies.read_id(request)
        if not anonymous_id:
            anonymous_id = visitor_cookies.new_id()
            visitor_cookies.set_id(response, anonymous_id, secure=request.is_secure())
        message = clicks.message_of(
            found.link, parameters, request, anonymous_id=anonymous_id, level=level, received_at=self.received_at
        )
        counting.count(found.link, self.received_at, outcome=await self._store(found, message))
        return response

    def head(self, request: HttpRequest, link: str = "") -> HttpResponseBase:
        found = find_link(slug_of(request))
        if found is None:
            return _page("not_found", 404)
        return _redirect(clicks.target_url(found.link, _parameters(found, request)))

    def answer_error(self, error: Exception) -> HttpResponseBase:
        """The redirect, with a click that is only counted, if this process knows the link."""
        found = None if isinstance(error, Refusal) else find_known(slug_of(self.request))
        if found is None or self.request.method not in ("GET", "HEAD"):
            return super().answer_error(error)
        if not isinstance(error, ERRORS):
            logger.error("link_failed", exc_info=error)
            return _redirect(found.link.destination)
        _log_lost_click(error)
        if self.request.method == "GET" and not visitors.is_automated(self.request):
            counting.count(found.link, self.received_at, outcome="not_stored")
        return _redirect(clicks.target_url(found.link, _parameters(found, self.request)))

    async def _store(self, found: CachedLink, message: Message) -> str:
        """Store the click's event; return the outcome for counting.count."""
        messages, rejected = self.without_suppressed(found.key, [message])
        suppressed_ids.count(found.link.game_id, rejected)
        if not messages:
            return "counted"
        submission = Submission(key=found.key, dialect=self.dialect, received_at=self.received_at, messages=messages)
        try:
            if self.is_on_loop:
                async with asyncio.timeout(MAX_WAIT_SECONDS):
                    await self.accept([submission])
            else:
                await self.accept([submission])
        except ERRORS as error:
            _log_lost_click(error)
            return "not_stored"
        return "stored"


def slug_of(request: HttpRequest) -> str:
    """Return the slug in the path; slugs are in lower case, and some programs add a slash to a URL."""
    return request.path_info.removeprefix(PREFIX).rstrip("/").lower()


def _parameters(found: CachedLink, request: HttpRequest) -> clicks.Parameters:
    return clicks.read_parameters(found.link.game, request.META.get("QUERY_STRING", ""))


def _redirect(location: str) -> HttpResponse:
    return HttpResponse(status=HTTPStatus.FOUND, headers={"Location": location, "Cache-Control": "no-store"})


def _log_lost_click(error: Exception) -> None:
    logger.warning("link_click_not_stored", error=type(error).__name__)


def _page(name: str, status: int) -> HttpResponse:
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": POLICY, "X-Robots-Tag": "noindex"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return HttpResponse(_html(name), status=status, headers=headers)


@cache
def _html(name: str) -> str:
    """The page, which is the same for every request."""
    return render_to_string(f"links/{name}.html")
