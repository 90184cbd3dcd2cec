"""What every ingestion route answers in the same way: CORS, OPTIONS, and errors."""

from typing import Any

import structlog
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience.database import clock
from audience.database.availability import is_unavailable
from audience.intake.dialects.refusing import RefusingView
from audience.intake.dialects.responses import Refusal, RequestProblem, allow_origin, as_json, error_envelope
from audience.intake.requests.auth import basic_user
from audience.intake.storing.write_queue import Overloaded
from audience.models.tokens import TOKEN_MARK

logger = structlog.get_logger(__name__)

# Short, since most outages are a restart; clients add their own back-off.
RETRY_AFTER_SECONDS = 5
MANAGEMENT_TOKEN = (
    "This is a token of the management API (/api/v1/). Events are sent with an API key: "
    "create one on the Hub's page API keys."
)


class Route(RefusingView):
    """The base class of every ingestion route. A dialect adds `dialect`, `refuse` and the handlers of HTTP methods.

    Every answer, including errors, has the CORS headers: a browser hides the status of an answer without them, and an
    SDK that cannot read a 503 does not retry. A transient error is always 503 with Retry-After, since clients drop
    their data on a 4xx.
    """

    # Described in audience/intake/openapi.yaml.
    schema = None

    def cors(self, request: HttpRequest) -> dict[str, str]:
        """The headers that allow the page in a browser to read the answer."""
        return allow_origin(request)

    def prepare(self) -> None:
        """Set the attributes that handlers use."""
        self.received_at = clock.now()

    @property
    def allowed_methods(self) -> list[str]:
        return [method.upper() for method in self.http_method_names if hasattr(self, method)]

    def options(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def wrong_method(self) -> Refusal:
        refusal = self.refuse(RequestProblem.METHOD, f"{self.request.method} is not served here.")
        refusal.response["Allow"] = ", ".join(self.allowed_methods)
        return refusal

    def refuse_unread(self, request: HttpRequest, reason: str) -> HttpResponseBase:
        """The answer 503 to a request whose body was not read to its end; the reason is logged."""
        self.setup(request)
        self.prepare()
        return self.answer_error(Overloaded(reason))

    def answer_error(self, error: Exception) -> HttpResponseBase:
        if isinstance(error, Refusal):
            has_token = self.admitted_key is None and states_management_token(self.request)
            return self.management_token().response if has_token else error.response
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

    def management_token(self) -> Refusal:
        """The error, in every dialect, of a request with a token of the management API in place of a key."""
        return Refusal(as_json(error_envelope(self.request, "UNAUTHORISED_REQUEST", MANAGEMENT_TOKEN), status=401))


def states_management_token(request: HttpRequest) -> bool:
    """Whether a token of the management API stands where one of the dialects has its key outside the body."""
    meta = request.META
    scheme, _, bearer = meta.get("HTTP_AUTHORIZATION", "").partition(" ")
    stated = [basic_user(request), request.GET.get("writeKey", "")]
    stated += [bearer.strip()] if scheme.lower() == "bearer" else []
    stated += [meta.get(name, "").strip() for name in ("HTTP_X_IMMUTABLE_PUBLISHABLE_KEY", "HTTP_X_IMMUTABLE_API_KEY")]
    return any(value.startswith(TOKEN_MARK) for value in stated)
