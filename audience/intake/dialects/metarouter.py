"""MetaRouter's answers: JSON with capitalised keys, 207 for a mixed batch, 413 for a body that is too large.

Never 401, 403 or 404: its mobile SDKs delete their queue on those.
"""

from typing import Any

from django.http import HttpResponse

from audience.intake.dialects.responses import BatchResult, RequestProblem, Responses, as_json
from audience.intake.messages.message import Rejected
from audience.models import Dialect

READ_ERROR = "Error reading request body"
ANSWERS = {
    RequestProblem.NO_KEY: (400, "Bad Request", "Invalid or missing writekey", ""),
    RequestProblem.UNKNOWN_KEY: (400, "Bad Request", "Invalid or missing writekey", ""),
    RequestProblem.BAD_ENCODING: (400, "Bad Request", READ_ERROR, "the body is not valid gzip"),
    RequestProblem.BAD_JSON: (400, "Bad Request", READ_ERROR, "invalid JSON"),
    RequestProblem.NOT_AN_EVENT: (
        400,
        "Bad Request",
        READ_ERROR,
        "expected an event object, or a batch of event objects",
    ),
    RequestProblem.EMPTY_BATCH: (400, "Bad Request", READ_ERROR, "the batch is empty"),
    RequestProblem.TOO_LARGE: (413, "Bad Request", READ_ERROR, "HTTP request too large"),
    RequestProblem.TOO_MANY_REQUESTS: (429, "Too Many Requests", "Too many requests", "see Retry-After"),
    RequestProblem.METHOD: (405, "Method Not Allowed", "Method not allowed", "see Allow"),
    RequestProblem.DATABASE_UNAVAILABLE: (
        503,
        "Service Unavailable",
        "Storage is away for a moment",
        "send this again",
    ),
    RequestProblem.INTERNAL_ERROR: (500, "Internal Server Error", "Something broke on our side", "send this again"),
}


class MetaRouterResponses(Responses):
    dialect = Dialect.METAROUTER
    call_limit = 15 * 1024
    batch_limit = 500 * 1024
    batch_timestamp = True

    def accepted(self) -> HttpResponse:
        return as_json({"Success": True})

    def refused(self, rejected: Rejected) -> HttpResponse:
        return as_json(_error(rejected), status=413 if _is_too_large(rejected) else 400)

    def batch(self, result: BatchResult, *, partial: bool) -> HttpResponse:
        if not result.rejected or (result.accepted and not partial):
            return self.accepted()
        errors = [
            {**_error(refusal), "index": index, "messageId": refusal.message_id} for index, refusal in result.rejected
        ]
        status = 207 if result.accepted else 413 if all(_is_too_large(r) for _, r in result.rejected) else 400
        return as_json(_with_code({"Success": False, "Errors": errors}, errors[0]["Message"], status), status=status)

    def problem(self, problem: RequestProblem, *, batch: bool) -> HttpResponse:
        status, error, message, details = ANSWERS[problem]
        answer = {"Error": error, "Message": message, "Details": details}
        body: dict[str, Any] = {"Success": False, "Errors": [answer]} if batch else answer
        return as_json(_with_code(body, message, status), status=status)


def _error(rejected: Rejected) -> dict[str, Any]:
    first = rejected.errors[0]
    if _is_too_large(rejected):
        return _with_code(
            {"Error": "Bad Request", "Message": READ_ERROR, "Details": "HTTP request too large"}, READ_ERROR, 413
        )
    return _with_code({"Error": "Bad Request", "Message": first.message, "Details": first.field}, first.message, 400)


def _with_code(body: dict[str, Any], message: str, status: int) -> dict[str, Any]:
    """SDKs other than MetaRouter's own retry a JSON 4xx without end unless it has `code` and `message` as strings."""
    return {**body, "code": str(status), "message": message}


def _is_too_large(rejected: Rejected) -> bool:
    return rejected.errors[0].code == "TOO_LARGE"


RESPONSES = MetaRouterResponses()
