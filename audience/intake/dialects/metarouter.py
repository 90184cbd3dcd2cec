"""MetaRouter's words: JSON with capitalised keys, 207 for a mixed batch, 413 for what is too large.

Never 401, 403 or 404: its mobile SDKs wipe their queue for ever on those.
"""

from typing import Any

from django.http import HttpResponse

from audience.intake.dialects.words import Problem, Taken, Words, as_json
from audience.intake.messages.message import Rejected
from audience.models import Dialect

READING = "Error reading request body"
ANSWERS = {
    Problem.NO_KEY: (400, "Bad Request", "Invalid or missing writekey", ""),
    Problem.UNKNOWN_KEY: (400, "Bad Request", "Invalid or missing writekey", ""),
    Problem.BAD_ENCODING: (400, "Bad Request", READING, "the body is not valid gzip"),
    Problem.BAD_JSON: (400, "Bad Request", READING, "invalid JSON"),
    Problem.NOT_AN_EVENT: (400, "Bad Request", READING, "expected an event object, or a batch of event objects"),
    Problem.EMPTY_BATCH: (400, "Bad Request", READING, "the batch is empty"),
    Problem.TOO_LARGE: (413, "Bad Request", READING, "HTTP request too large"),
    Problem.TOO_MANY_REQUESTS: (429, "Too Many Requests", "Too many requests", "see Retry-After"),
    Problem.METHOD: (405, "Method Not Allowed", "Method not allowed", "see Allow"),
    Problem.STORAGE_AWAY: (503, "Service Unavailable", "Storage is away for a moment", "send this again"),
    Problem.BROKEN: (500, "Internal Server Error", "Something broke on our side", "send this again"),
}


class MetaRouterWords(Words):
    dialect = Dialect.METAROUTER
    call_limit = 15 * 1024
    batch_limit = 500 * 1024
    batch_timestamp = True

    def accepted(self) -> HttpResponse:
        return as_json({"Success": True})

    def refused(self, rejected: Rejected) -> HttpResponse:
        return as_json(_error(rejected), status=413 if _too_large(rejected) else 400)

    def batch(self, taken: Taken, *, partial: bool) -> HttpResponse:
        if not taken.rejected or (taken.accepted and not partial):
            return self.accepted()
        errors = [
            {**_error(refusal), "index": index, "messageId": refusal.message_id} for index, refusal in taken.rejected
        ]
        status = 207 if taken.accepted else 413 if all(_too_large(r) for _, r in taken.rejected) else 400
        return as_json(_with_code({"Success": False, "Errors": errors}, errors[0]["Message"], status), status=status)

    def problem(self, problem: Problem, *, batch: bool) -> HttpResponse:
        status, error, message, details = ANSWERS[problem]
        answer = {"Error": error, "Message": message, "Details": details}
        body: dict[str, Any] = {"Success": False, "Errors": [answer]} if batch else answer
        return as_json(_with_code(body, message, status), status=status)


def _error(rejected: Rejected) -> dict[str, Any]:
    first = rejected.errors[0]
    if _too_large(rejected):
        return _with_code(
            {"Error": "Bad Request", "Message": READING, "Details": "HTTP request too large"}, READING, 413
        )
    return _with_code({"Error": "Bad Request", "Message": first.message, "Details": first.field}, first.message, 400)


def _with_code(body: dict[str, Any], message: str, status: int) -> dict[str, Any]:
    """Other SDKs than MetaRouter's own retry a JSON 4xx for ever unless it holds text `code` and `message`."""
    return {**body, "code": str(status), "message": message}


def _too_large(rejected: Rejected) -> bool:
    return rejected.errors[0].code == "TOO_LARGE"


WORDS = MetaRouterWords()
