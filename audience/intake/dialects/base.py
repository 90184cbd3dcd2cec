"""The base class of all routes for events: authenticate, limit, parse, store, answer in the dialect's format."""

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponseBase

from audience.intake.dialects.responses import Refusal
from audience.intake.dialects.route import Route
from audience.intake.requests import suppressed_ids
from audience.intake.storing.accept import AcceptResult, accept_all, accept_on_loop, refuse_when_full
from audience.intake.storing.rows import Submission


class IngestView(Route):
    """The base class of every route for events. A dialect adds `dialect`, `refuse` and the handlers of HTTP methods.

    A handler that stores messages is a coroutine that awaits `accept` and nothing else. On the event loop
    (audience/intake/asgi.py) everything else that would block, such as a query, raises SynchronousOnlyOperation before
    anything is changed, and the same handler answers the request on a thread.
    """

    # Django calls `dispatch`, which is synchronous.
    view_is_async = False
    is_on_loop = False

    async def accept(self, request: Sequence[Submission]) -> list[AcceptResult]:
        """Store the submissions of a request. When this returns, they are committed."""
        results = await accept_on_loop(request) if self.is_on_loop else accept_all(request)
        for submission in request:
            if submission.rejected:
                suppressed_ids.count(submission.key.game_id, submission.rejected)
        return results

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The answer, on a thread."""
        response = _run_to_completion(self.answer(request, *args, **kwargs))
        for name, value in self.cors(request).items():
            response.headers[name] = value
        return response

    async def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The answer without its CORS headers.

        Replaces DRF's dispatch, which leaves out its request, authentication, throttle and negotiation objects: with
        classes that do nothing they take 25 µs, a seventh of Python's time for a single event, and DRF has no views
        for an event loop. `require_key`, `admit` and `refuse` do their work; consent and erasure use them through DRF
        (immutable_rest.py).
        """
        self.setup(request, *args, **kwargs)
        try:
            self.prepare()
            method = str(request.method).lower()
            # Not for a preflight request: after a 503 the browser does not send the request, and ignores Retry-After.
            if self.is_on_loop and method != "options":
                refuse_when_full()
            handler = getattr(self, method, None) if method in self.http_method_names else None
            if handler is None:
                raise self.wrong_method()
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


def _run_to_completion(answer: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    """The result of a coroutine that never suspends."""
    try:
        answer.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    answer.close()
    raise RuntimeError("A handler awaits something other than accept().")
