"""The answers of ingestion routes, independent of their format in each dialect."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience.intake.messages.message import Rejected
from audience.intake.requests.request_id import HEADER, request_id
from audience.intake.storing.rows import Submission
from audience.models import Dialect

# Names of headers (RFC 9110, section 5.1), separated by commas. Sentry, Datadog and OpenTelemetry add headers to all
# requests of a page; a browser sends such a request only if the answer to its preflight request allows the headers.
HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]+", re.ASCII)
MAX_HEADERS_LENGTH = 2048
# The page that errors link to.
DOCS = "/api/docs/"


class RequestProblem(Enum):
    """Why a whole request is refused."""

    NO_KEY = auto()
    UNKNOWN_KEY = auto()
    BAD_ENCODING = auto()
    BAD_JSON = auto()
    NOT_AN_EVENT = auto()
    EMPTY_BATCH = auto()
    TOO_LARGE = auto()
    TOO_MANY_REQUESTS = auto()
    METHOD = auto()
    DATABASE_UNAVAILABLE = auto()
    INTERNAL_ERROR = auto()


def as_json(body: Any, status: int = 200) -> HttpResponse:
    """A JSON response without spaces, like those of the original products."""
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json")


def error_envelope(
    request: HttpRequest, code: str, message: str, details: Sequence[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """The error that Immutable documents; also that of unknown paths. `details` are violations as JSON."""
    trace_id = request_id(request)
    return {"code": code, "message": message, "link": DOCS, "trace_id": trace_id, "details": list(details)}


# The statuses of `error_envelope` for problems of whole requests, 400 for all others, and its codes by status.
ENVELOPE_STATUSES = {
    RequestProblem.UNKNOWN_KEY: 401,
    RequestProblem.TOO_LARGE: 413,
    RequestProblem.TOO_MANY_REQUESTS: 429,
    RequestProblem.METHOD: 405,
    RequestProblem.DATABASE_UNAVAILABLE: 503,
    RequestProblem.INTERNAL_ERROR: 500,
}
ENVELOPE_CODES = {401: "UNAUTHORISED_REQUEST", 429: "TOO_MANY_REQUESTS_ERROR"}
ENVELOPE_CODES |= dict.fromkeys((500, 503), "INTERNAL_SERVER_ERROR")
DEFAULT_CODE = "VALIDATION_ERROR"


class Refusal(Exception):
    """A request answered with an error. `response` is sent once `submissions`, its Rejections, are stored."""

    def __init__(self, response: HttpResponseBase) -> None:
        super().__init__(response.status_code)
        self.response = response
        self.submissions: list[Submission] = []


def requested_headers(request: HttpRequest, default: str) -> str:
    """The headers that a preflight request lists; `default` if it lists none, or invalid names."""
    requested = request.META.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "").strip()
    return requested if len(requested) <= MAX_HEADERS_LENGTH and HEADER_NAMES.fullmatch(requested) else default


def allow_origin(request: HttpRequest) -> dict[str, str]:
    """The CORS headers, without which a browser hides an answer from the SDK: the request's origin and headers are
    allowed, with credentials, since the SDKs of these dialects send cookies."""
    origin = request.META.get("HTTP_ORIGIN")
    if not origin:
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
        "Access-Control-Allow-Headers": requested_headers(request, "Content-Type, Authorization, AnonymousId"),
        "Access-Control-Expose-Headers": f"Retry-After, X-RateLimit-Reset, {HEADER}",
        "Access-Control-Max-Age": "900",
        "Vary": "Origin, Access-Control-Request-Headers",
    }


class Responses(ABC):
    """The size limits (in bytes, decompressed) and the answers of a dialect with messages of Segment's format."""

    dialect: Dialect
    call_limit: int
    batch_limit: int
    # Whether a `timestamp` of the batch applies to its members. analytics-node sets it to the time of sending.
    batch_timestamp = False

    @abstractmethod
    def answer_accepted(self) -> HttpResponseBase:
        """The answer when a single message is stored."""

    @abstractmethod
    def answer_rejected(self, rejected: Rejected) -> HttpResponseBase:
        """The answer when a single message is rejected."""

    @abstractmethod
    def answer_batch(
        self, accepted: int, rejected: Sequence[tuple[int, Rejected]], *, supports_207: bool
    ) -> HttpResponseBase:
        """The answer to a batch: `accepted` is the number of accepted members, `rejected` has the others with their
        index in the batch. `supports_207`: the client supports 207."""

    @abstractmethod
    def answer_problem(self, problem: RequestProblem, *, batch: bool) -> HttpResponseBase:
        """The answer when the whole request is refused."""
