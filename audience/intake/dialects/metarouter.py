"""MetaRouter's answers: JSON with capitalized keys, 207 for a partly rejected batch, 413 for a body that is too large.

Never 401, 403 or 404: its mobile SDKs delete their queue after those.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse

from audience.intake.dialects.responses import RequestProblem, Responses, as_json
from audience.intake.messages.message import Rejected
from audience.models import Dialect

READ_ERROR = "Error reading request body"
# Status, message and details.
ANSWERS = {
    RequestProblem.NO_KEY: (400, "Invalid or missing writekey", ""),
    RequestProblem.UNKNOWN_KEY: (400, "Invalid or missing writekey", ""),
    RequestProblem.BAD_ENCODING: (400, READ_ERROR, "the body is not valid gzip"),
    RequestProblem.BAD_JSON: (400, READ_ERROR, "invalid JSON"),
    RequestProblem.NOT_AN_EVENT: (400, READ_ERROR, "expected an event object, or a batch of event objects"),
    RequestProblem.EMPTY_BATCH: (400, READ_ERROR, "the batch is empty"),
    RequestProblem.TOO_LARGE: (413, READ_ERROR, "HTTP request too large"),
    RequestProblem.TOO_MANY_REQUESTS: (429, "Too many requests", "see Retry-After"),
    RequestProblem.METHOD: (405, "Method not allowed", "see Allow"),
    RequestProblem.DATABASE_UNAVAILABLE: (503, "Storage is temporarily unavailable", "send this again"),
    RequestProblem.INTERNAL_ERROR: (500, "An internal error occurred", "send this again"),
}


class MetaRouterResponses(Responses):
    dialect = Dialect.METAROUTER
    call_limit = 15 * 1024
    batch_limit = 500 * 1024
    batch_timestamp = True

    def answer_accepted(self) -> HttpResponse:
        return as_json({"Success": True})

    def answer_rejected(self, rejected: Rejected) -> HttpResponse:
        return as_json(_error(rejected), status=413 if _is_too_large(rejected) else 400)

    def answer_batch(
        self, accepted: int, rejected: Sequence[tuple[int, Rejected]], *, supports_207: bool
    ) -> HttpResponse:
        if not rejected or (accepted and not supports_207):
            return self.answer_accepted()
        errors = [{**_error(member), "index": index, "messageId": member.message_id} for index, member in rejected]
        status = 207 if accepted else 413 if all(_is_too_large(member) for _, member in rejected) else 400
        return as_json(_with_code({"Success": False, "Errors": errors}, errors[0]["Message"], status), status=status)

    def answer_problem(self, problem: RequestProblem, *, batch: bool) -> HttpResponse:
        status, message, details = ANSWERS[problem]
        answer = _answer(status, message, details)
        body: dict[str, Any] = {"Success": False, "Errors": [answer]} if batch else answer
        return as_json(_with_code(body, message, status), status=status)


def _answer(status: int, message: str, details: str) -> dict[str, Any]:
    # MetaRouter answers 413 with the phrase of 400.
    return {"Error": HTTPStatus(400 if status == 413 else status).phrase, "Message": message, "Details": details}


def _error(rejected: Rejected) -> dict[str, Any]:
    first = rejected.errors[0]
    is_too_large = _is_too_large(rejected)
    status, message, details = ANSWERS[RequestProblem.TOO_LARGE] if is_too_large else (400, first.message, first.field)
    return _with_code(_answer(status, message, details), message, status)


def _with_code(body: dict[str, Any], message: str, status: int) -> dict[str, Any]:
    """Add `code` and `message` as strings: without them, SDKs other than MetaRouter's retry a 4xx endlessly."""
    return {**body, "code": str(status), "message": message}


def _is_too_large(rejected: Rejected) -> bool:
    return rejected.errors[0].code == "TOO_LARGE"


RESPONSES = MetaRouterResponses()
