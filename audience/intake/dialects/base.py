"""What all wire routes share: authenticate -> size limit -> parse -> accept -> reply in the dialect's words."""

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
from audience.database.unavailable import is_unavailable
from audience.intake.dialects.words import Problem, Refusal
from audience.intake.messages.message import NOT_KEPT, Rejected, Violation
from audience.intake.requests import body, cors, limit, restrictions
from audience.intake.requests.auth import find_ended_key
from audience.intake.requests.caller import caller_ip, origin, stamp
from audience.intake.storing.accept import Receipt, accept_all, accept_together, note_use, refuse_when_full
from audience.intake.storing.group import Overloaded
from audience.intake.storing.rows import Sent
from audience.models import ApiKey, Dialect

logger = structlog.get_logger(__name__)

# Seconds. Short, since most absences are a restart; clients add their own back-off.
RETRY_AFTER = 5
# Seconds between two Rejections for requests with one key that has ended.
SAID_AGAIN_AFTER = 60.0
# When the last of them was written, by key id (time.monotonic()).
_said_at: dict[int, float] = {}


class IngestView(APIView):
    """The frame of a wire route. A dialect gives the words (`refuse`) and the handlers of its methods.

    A handler that takes messages in is a coroutine, since it waits for the disk, and for nothing else: on the event
    loop (audience/intake/front.py) whatever else would have to wait, as for a query, says SynchronousOnlyOperation
    before anything was done, and the request is answered on a thread instead.

    Every answer, also an error, carries the CORS headers: a browser hides the status of one without them,
    and an SDK that cannot see a 503 does not retry. A passing fault is always 503 with Retry-After, since
    clients drop their data for good on a 4xx.
    """

    # Described in audience/intake/openapi.yaml.
    schema = None
    # To Django every one of them is plain: `dispatch` finishes what is a coroutine itself.
    view_is_async = False
    is_on_loop = False
    # The dialect that a request refused as a whole is filed under.
    dialect = Dialect.IMMUTABLE

    def refuse(self, problem: Problem, detail: str = "") -> Refusal:
        """This dialect's error for a whole request, to be raised. `detail` is a sentence where the words have none."""
        raise NotImplementedError(f"{type(self).__name__} has no words for an error")

    def cors(self, request: HttpRequest) -> dict[str, str]:
        """The headers that let a browser read the answer."""
        return cors.echoed(request)

    def read(self, request: HttpRequest, *, limit: int) -> bytes:
        """The body, unpacked; refused when it is larger than `limit` bytes, packed or unpacked."""
        try:
            return body.read(request, limit=limit)
        except body.TooLarge:
            text = f"The body is larger than {limit} bytes; send smaller batches."
            raise self.refuse(Problem.TOO_LARGE, text) from None
        except body.Malformed as error:
            raise self.refuse(Problem.BAD_ENCODING, str(error)) from None

    def decode(self, data: bytes) -> Any:
        """The JSON of a body; refused when it is none."""
        try:
            return body.decode(data)
        except body.Malformed as error:
            raise self.refuse(Problem.BAD_JSON, str(error)) from None

    def admit(self, key: ApiKey) -> None:
        """Note the key's use; refused when it calls more often than its limit allows."""
        note_use(key)
        wait = limit.seconds_to_wait(key)
        if wait:
            refusal = self.refuse(Problem.TOO_MANY_REQUESTS, f"This key may call again in {wait} s.")
            refusal.response["Retry-After"] = refusal.response["X-RateLimit-Reset"] = str(wait)
            raise refusal

    def against_caller(self, key: ApiKey) -> Violation | None:
        """Why the key may not be used by whoever called, None when it may."""
        if not key.is_restricted:
            return None
        return restrictions.against_caller(key, origin=origin(self.request), address=caller_ip(self.request))

    def leaving(self, refusal: Refusal, key: ApiKey, why: Violation, *, route: str) -> Refusal:
        """The refusal of a whole request, which leaves a Rejection; of its content nothing is kept."""
        refused = Rejected(None, [why], NOT_KEPT, route=route)
        stamp(self.request, (), [refused])
        sent = Sent(key=key, dialect=self.dialect, received_at=self.received_at, messages=(), rejected=[refused])
        refusal.leaves = [sent]
        return refusal

    def of_ended(self, refusal: Refusal, value: str, *, route: str) -> Refusal:
        """The refusal of a key that does not work, which leaves a Rejection when it once did."""
        key = find_ended_key(value)
        if key is None or not _is_time_to_say_so(key):
            return refusal
        return self.leaving(refusal, key, restrictions.KEY_ENDED, route=route)

    async def accept(self, request: Sequence[Sent]) -> list[Receipt]:
        """Acknowledge: on disk when this returns."""
        return await accept_together(request) if self.is_on_loop else accept_all(request)

    def begin(self) -> None:
        """What a handler may rely on."""
        self.received_at = clock.now()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The answer, on a thread that may wait."""
        response = _finished(self.answer(request, *args, **kwargs))
        for name, value in self.cors(request).items():
            response.headers[name] = value
        return response

    def turn_away(self, request: HttpRequest, why: str) -> HttpResponseBase:
        """The answer to a request that is not read to its end."""
        self.request = request  # type: ignore[assignment]  # a plain one
        self.begin()
        return self.handle_exception(Overloaded(why))

    async def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The answer without its CORS headers. DRF's own dispatch without the parts that no wire route has (parsers,
        authenticators, throttles, negotiation): an SDK's odd Accept header must not cost its user a 406, and they were
        most of what a request cost."""
        self.request, self.args, self.kwargs = request, args, kwargs  # type: ignore[assignment]  # a plain one
        try:
            self.begin()
            method = str(request.method).lower()
            # A browser that is refused the question before its message never reads when to come back.
            if self.is_on_loop and method != "options":
                refuse_when_full()
            handler = getattr(self, method, None) if method in self.http_method_names else None
            if handler is None:
                raise MethodNotAllowed(method)
            response = await self.handled(handler, *args, **kwargs)
        except SynchronousOnlyOperation:
            raise
        except Exception as error:
            response = self.handle_exception(error)
        return response

    async def handled(self, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> HttpResponseBase:
        """What a handler answers. What a refusal leaves is on disk before it is answered."""
        try:
            answered = handler(self.request, *args, **kwargs)
            response: HttpResponseBase = await answered if inspect.isawaitable(answered) else answered
        except Refusal as refusal:
            if refusal.leaves:
                await self.accept(refusal.leaves)
            raise
        return response

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]  # dispatch takes any response
        if isinstance(exc, Refusal):
            return exc.response
        if isinstance(exc, OperationalError | Overloaded) or is_unavailable(exc):
            event = "intake_overloaded" if isinstance(exc, Overloaded) else "storage_away"
            logger.warning(event, path=self.request.path, error=str(exc).partition("\n")[0][:200])
            response = self.refuse(Problem.STORAGE_AWAY, "Storage is away for a moment; send this again.").response
            response["Retry-After"] = str(RETRY_AFTER)
            return response
        if isinstance(exc, MethodNotAllowed):
            response = self.refuse(Problem.METHOD, f"{self.request.method} is not served here.").response
            response["Allow"] = ", ".join(self.allowed_methods)
            return response
        logger.error("ingest_failed", path=self.request.path, exc_info=exc)
        return self.refuse(Problem.BROKEN, "Something broke on our side; it is logged. Send this again.").response


def _is_time_to_say_so(key: ApiKey) -> bool:
    """Once a minute for each key that has ended: enough to be seen, too little to fill a table with."""
    now = time.monotonic()
    if now - _said_at.get(key.pk, -SAID_AGAIN_AFTER) < SAID_AGAIN_AFTER:
        return False
    _said_at[key.pk] = now
    return True


def _finished(answer: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    """What a coroutine returns that never has to wait."""
    try:
        answer.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    answer.close()
    raise RuntimeError("A handler waits for something else than the disk.")


def basic_user(request: HttpRequest) -> str:
    """The user name of HTTP Basic, which is where Segment's family puts its key; '' when there is none."""
    scheme, _, encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(encoded.strip()).decode().partition(":")[0].strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""
