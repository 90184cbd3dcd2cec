"""The base class of all ingestion routes: authenticate, limit, parse, store, answer in the dialect's format."""

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog
from django.core.exceptions import SynchronousOnlyOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience.database import clock
from audience.database.availability import is_unavailable
from audience.intake.dialects.refusing import RefusingView
from audience.intake.dialects.responses import Refusal, RequestProblem, allow_origin
from audience.intake.requests import suppressed_ids
from audience.intake.storing.accept import AcceptResult, accept_all, accept_on_loop, refuse_when_full
from audience.intake.storing.rows import Submission
from audience.intake.storing.write_queue import Overloaded

logger = structlog.get_logger(__name__)

# Short, since most outages are a restart; clients add their own back-off.
RETRY_AFTER_SECONDS = 5


class IngestView(RefusingView):
    """The base class of every ingestion route. A dialect adds `dialect`, `refuse` and the handlers of HTTP methods.

    A handler that stores messages is a coroutine that awaits `accept` and nothing else. On the event loop
    (audience/intake/asgi.py) everything else that would block, such as a query, raises SynchronousOnlyOperation before
    anything is changed, and the same handler answers the request on a thread.

    Every answer, including errors, has the CORS headers: a browser hides the status of an answer without them, and an
    SDK that cannot read a 503 does not retry. A transient error is always 503 with Retry-After, since clients drop
    their data on a 4xx.
    """

    # Described in audience/intake/openapi.yaml.
    schema = None
    # Django calls `dispatch`, which is synchronous.
    view_is_async = False
    is_on_loop = False

    def cors(self, request: HttpRequest) -> dict[str, str]:
        """The headers that allow the page in a browser to read the answer."""
        return allow_origin(request)

    async def accept(self, request: Sequence[Submission]) -> list[AcceptResult]:
        """Store the submissions of a request. When this returns, they are committed."""
        results = await accept_on_loop(request) if self.is_on_loop else accept_all(request)
        for submission in request:
            if submission.rejected:
                suppressed_ids.count(submission.key.game_id, submission.rejected)
        return results

    def prepare(self) -> None:
        """Set the attributes that handlers use."""
        self.received_at = clock.now()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The answer, on a thread."""
        response = _run_to_completion(self.answer(request, *args, **kwargs))
        for name, value in self.cors(request).items():
            response.headers[name] = value
        return response

    def refuse_unread(self, request: HttpRequest, reason: str) -> HttpResponseBase:
        """The answer 503 to a request whose body was not read to its end; the reason is logged."""
        self.setup(request)
        self.prepare()
        return self.answer_error(Overloaded(reason))

    async def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The answer without its CORS headers. Replaces DRF's dispatch: its parsers, throttles and content negotiation
        take most of a request's time, and it would answer 406 to an SDK with an unusual Accept header."""
        self.setup(request, *args, **kwargs)
        try:
            self.prepare()
            method = str(request.method).lower()
            # Not for a preflight request: after a 503 the browser does not send the request, and ignores Retry-After.
            if self.is_on_loop and method != "options":
                refuse_when_full()
            handler = getattr(self, method, None) if method in self.http_method_names else None
            if handler is None:
                refusal = self.refuse(RequestProblem.METHOD, f"{request.method} is not served here.")
                refusal.response["Allow"] = ", ".join(self.allowed_methods)
                raise refusal
            return await self.run_handler(handler, *args, **kwargs)
        except SynchronousOnlyOperation:
            raise
        except Exception as error:
            return self.answer_error(error)

    async def run_handler(self, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The handler's answer. If it raises Refusal, the Rejections are stored before the answer."""
        try:
            result = handler(self.request, *args, **kwargs)
            response: HttpResponseBase = await result if inspect.isawaitable(result) else result
        except Refusal as refusal:
            if refusal.submissions:
                await self.accept(refusal.submissions)
            raise
        return response

    @property
    def allowed_methods(self) -> list[str]:
        return [method.upper() for method in self.http_method_names if hasattr(self, method)]

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def answer_error(self, error: Exception) -> HttpResponseBase:
        if isinstance(error, Refusal):
            return error.response
        if isinstance(error, OperationalError | Overloaded) or is_unavailable(error):
            event = "intake_overloaded" if isinstance(error, Overloaded) else "database_unavailable"
            logger.warning(event, path=self.request.path, error=str(error).partition("\n")[0][:200])
            refusal = self.refuse(
                RequestProblem.DATABASE_UNAVAILABLE, "Storage is temporarily unavailable. Send the request again."
            )
            refusal.response["Retry-After"] = str(RETRY_AFTER_SECONDS)
            return refusal.response
        logger.error("intake_failed", path=self.request.path, exc_info=error)
        text = "An internal error occurred and was logged. Send the request again."
        return self.refuse(RequestProblem.INTERNAL_ERROR, text).response


def _run_to_completion(answer: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    """The result of a coroutine that never suspends."""
    try:
        answer.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    answer.close()
    raise RuntimeError("A handler awaits something other than accept().")
