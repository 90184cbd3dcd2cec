"""The base class of all ingestion routes: authenticate -> size limit -> parse -> accept -> answer in the dialect's
format."""

import binascii
import inspect
import time
from base64 import b64decode
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog
from django.core.exceptions import SynchronousOnlyOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.views import APIView

from audience.database import clock
from audience.database.availability import is_unavailable
from audience.intake.dialects.responses import Refusal, RequestProblem
from audience.intake.messages.message import NOT_KEPT, Rejected, Violation
from audience.intake.requests import body, cors, limit, restrictions
from audience.intake.requests.auth import find_expired_key
from audience.intake.requests.caller import caller_ip, origin, record_caller
from audience.intake.storing.accept import Receipt, accept_all, accept_on_loop, record_use, refuse_when_full
from audience.intake.storing.rows import Submission
from audience.intake.storing.write_queue import Overloaded
from audience.models import ApiKey, Dialect

logger = structlog.get_logger(__name__)

# Short, since most outages are a restart; clients add their own back-off.
RETRY_AFTER_SECONDS = 5
# Between two Rejections for requests with one expired key.
EXPIRED_KEY_INTERVAL_SECONDS = 60.0
# When the last of them was stored, by key id (time.monotonic()).
_expired_key_recorded_at: dict[int, float] = {}


class IngestView(APIView):
    """The base of every ingestion route. A dialect adds `refuse` and the handlers of its methods.

    A handler that stores messages is a coroutine that awaits `accept` and nothing else. On the event loop
    (audience/intake/asgi.py) everything else that would block, such as a query, raises SynchronousOnlyOperation before
    anything was changed, and the same handler answers the request on a thread.

    Every answer, also an error, carries the CORS headers: a browser hides the status of an answer without them, and an
    SDK that cannot read a 503 does not retry. A transient fault is always 503 with Retry-After, since clients drop
    their data on a 4xx.
    """

    # Described in audience/intake/openapi.yaml.
    schema = None
    # Django calls `dispatch`, which is synchronous.
    view_is_async = False
    is_on_loop = False
    # The dialect of the Rejection of a request that is refused as a whole.
    dialect = Dialect.IMMUTABLE

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        """This dialect's error for a whole request, to be raised. `detail` is used where the dialect has no text."""
        raise NotImplementedError(f"{type(self).__name__} does not define its errors")

    def cors(self, request: HttpRequest) -> dict[str, str]:
        """The headers with which a browser may read the answer."""
        return cors.allow_origin(request)

    def read(self, request: HttpRequest, *, limit: int) -> bytes:
        """The decompressed body; refused when it is larger than `limit` bytes before or after decompression."""
        try:
            return body.read(request, limit=limit)
        except body.TooLarge:
            text = f"The body is larger than {limit} bytes; send smaller batches."
            raise self.refuse(RequestProblem.TOO_LARGE, text) from None
        except body.Malformed as error:
            raise self.refuse(RequestProblem.BAD_ENCODING, str(error)) from None

    def decode(self, data: bytes) -> Any:
        """The parsed JSON of a body; refused when it is invalid."""
        try:
            return body.decode(data)
        except body.Malformed as error:
            raise self.refuse(RequestProblem.BAD_JSON, str(error)) from None

    def admit(self, key: ApiKey) -> None:
        """Record the key's use; refused when it exceeds its rate limit."""
        record_use(key)
        wait = limit.seconds_to_wait(key)
        if wait:
            refusal = self.refuse(RequestProblem.TOO_MANY_REQUESTS, f"This key may call again in {wait} s.")
            refusal.response["Retry-After"] = refusal.response["X-RateLimit-Reset"] = str(wait)
            raise refusal

    def caller_violation(self, key: ApiKey) -> Violation | None:
        """Why the key may not be used from the caller's origin or address; None when it may."""
        if not key.is_restricted:
            return None
        return restrictions.caller_violation(key, origin=origin(self.request), address=caller_ip(self.request))

    def with_rejection(self, refusal: Refusal, key: ApiKey, why: Violation, *, route: str) -> Refusal:
        """The refusal of a whole request, with a Rejection that is stored without the request's content."""
        refused = Rejected(None, [why], NOT_KEPT, route=route)
        record_caller(self.request, (), [refused])
        sent = Submission(key=key, dialect=self.dialect, received_at=self.received_at, messages=(), rejected=[refused])
        refusal.submissions = [sent]
        return refusal

    def for_expired_key(self, refusal: Refusal, value: str, *, route: str) -> Refusal:
        """The refusal of an invalid key, with a Rejection if the key has expired."""
        key = find_expired_key(value)
        if key is None or not _is_expired_key_due(key):
            return refusal
        return self.with_rejection(refusal, key, restrictions.KEY_ENDED, route=route)

    async def accept(self, request: Sequence[Submission]) -> list[Receipt]:
        """Store the messages. When this returns, they are committed."""
        return await accept_on_loop(request) if self.is_on_loop else accept_all(request)

    def prepare(self) -> None:
        """Set what handlers read."""
        self.received_at = clock.now()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The answer, on a thread."""
        response = _run_to_completion(self.answer(request, *args, **kwargs))
        for name, value in self.cors(request).items():
            response.headers[name] = value
        return response

    def refuse_unread(self, request: HttpRequest, why: str) -> HttpResponseBase:
        """503 for a request whose body was not read to its end."""
        self.request = request  # type: ignore[assignment]  # a plain one
        self.prepare()
        return self.handle_exception(Overloaded(why))

    async def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The answer without its CORS headers. Replaces DRF's dispatch, whose parsers, authenticators, throttles and
        content negotiation no ingestion route uses: they took most of a request's time, and an SDK's unusual Accept
        header would be answered 406."""
        self.request, self.args, self.kwargs = request, args, kwargs  # type: ignore[assignment]  # a plain one
        try:
            self.prepare()
            method = str(request.method).lower()
            # Not a preflight request: a browser that gets 503 there never sends the request, and never reads
            # Retry-After.
            if self.is_on_loop and method != "options":
                refuse_when_full()
            handler = getattr(self, method, None) if method in self.http_method_names else None
            if handler is None:
                raise MethodNotAllowed(method)
            response = await self.run_handler(handler, *args, **kwargs)
        except SynchronousOnlyOperation:
            raise
        except Exception as error:
            response = self.handle_exception(error)
        return response

    async def run_handler(self, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The handler's answer. The Rejections of a refusal are stored before it is answered."""
        try:
            answered = handler(self.request, *args, **kwargs)
            response: HttpResponseBase = await answered if inspect.isawaitable(answered) else answered
        except Refusal as refusal:
            if refusal.submissions:
                await self.accept(refusal.submissions)
            raise
        return response

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]  # dispatch takes any response
        if isinstance(exc, Refusal):
            return exc.response
        if isinstance(exc, OperationalError | Overloaded) or is_unavailable(exc):
            event = "intake_overloaded" if isinstance(exc, Overloaded) else "database_unavailable"
            logger.warning(event, path=self.request.path, error=str(exc).partition("\n")[0][:200])
            refusal = self.refuse(RequestProblem.DATABASE_UNAVAILABLE, "Storage is away for a moment; send this again.")
            response = refusal.response
            response["Retry-After"] = str(RETRY_AFTER_SECONDS)
            return response
        if isinstance(exc, MethodNotAllowed):
            response = self.refuse(RequestProblem.METHOD, f"{self.request.method} is not served here.").response
            response["Allow"] = ", ".join(self.allowed_methods)
            return response
        logger.error("ingest_failed", path=self.request.path, exc_info=exc)
        text = "Something broke on our side; it is logged. Send this again."
        return self.refuse(RequestProblem.INTERNAL_ERROR, text).response


def _is_expired_key_due(key: ApiKey) -> bool:
    """Whether to store another Rejection for this expired key."""
    now = time.monotonic()
    if now - _expired_key_recorded_at.get(key.pk, -EXPIRED_KEY_INTERVAL_SECONDS) < EXPIRED_KEY_INTERVAL_SECONDS:
        return False
    _expired_key_recorded_at[key.pk] = now
    return True


def _run_to_completion(answer: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    """The result of a coroutine that never suspends."""
    try:
        answer.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    answer.close()
    raise RuntimeError("A handler awaits something other than accept().")


def basic_user(request: HttpRequest) -> str:
    """The user name of HTTP Basic, where Segment-shaped clients put their key; '' when there is none."""
    scheme, _, encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(encoded.strip()).decode().partition(":")[0].strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""
