"""RudderStack's answers: 200 `OK`, or an error with a fixed plain text, which its clients compare."""

from collections.abc import Sequence

from django.http import HttpResponse

from audience.intake.dialects.responses import RequestProblem, Responses, as_json
from audience.intake.messages.message import Rejected
from audience.models import Dialect

ANSWERS = {
    RequestProblem.NO_KEY: (400, "failed to read writekey from header"),
    RequestProblem.UNKNOWN_KEY: (400, "invalid write key"),
    RequestProblem.BAD_ENCODING: (400, "failed to uncompress request body"),
    RequestProblem.BAD_JSON: (400, "invalid json"),
    RequestProblem.NOT_AN_EVENT: (400, "event is not a valid rudder event"),
    RequestProblem.EMPTY_BATCH: (400, "empty batch payload"),
    RequestProblem.TOO_LARGE: (400, "request size exceeds max limit"),
    RequestProblem.TOO_MANY_REQUESTS: (429, "max requests limit reached"),
    RequestProblem.METHOD: (405, "method not allowed"),
    RequestProblem.DATABASE_UNAVAILABLE: (503, "storage is temporarily unavailable, send this again"),
    RequestProblem.INTERNAL_ERROR: (500, "an internal error occurred, send this again"),
}


# Clients of Segment that read every answer as JSON. Another one counts as a failure: Ruby sends the batch ten times
# (segmentio/analytics-ruby, transport.rb), Java until it gives up (segmentio/analytics-java, AnalyticsClient.java).
JSON_CLIENTS = ("analytics-ruby/", "analytics-java/")


def plain_text(status: int, text: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


class RudderStackResponses(Responses):
    dialect = Dialect.RUDDERSTACK
    call_limit = 32 * 1024
    batch_limit = 4 * 1024 * 1024

    def answer_accepted(self) -> HttpResponse:
        # Exactly 200: after 201, 204 or 207 two of the Python SDKs retry up to ten times.
        return plain_text(200, "OK")

    def answer_error(self, status: int, text: str) -> HttpResponse:
        return plain_text(status, text)

    def answer_rejected(self, rejected: Rejected) -> HttpResponse:
        return self.answer_error(400, rejected.errors[0].message)

    def answer_batch(
        self, accepted: int, rejected: Sequence[tuple[int, Rejected]], *, supports_207: bool
    ) -> HttpResponse:
        return self.answer_accepted() if accepted or not rejected else self.answer_rejected(rejected[0][1])

    def answer_problem(self, problem: RequestProblem, *, batch: bool) -> HttpResponse:
        return self.answer_error(*ANSWERS[problem])


class JsonResponses(RudderStackResponses):
    """The same statuses and sentences for JSON_CLIENTS."""

    def answer_accepted(self) -> HttpResponse:
        return as_json({"success": True})

    def answer_error(self, status: int, text: str) -> HttpResponse:
        return as_json({"success": False, "error": text, "code": str(status), "message": text}, status=status)


RESPONSES = RudderStackResponses()
JSON_RESPONSES = JsonResponses()


def responses_for(user_agent: str) -> RudderStackResponses:
    return JSON_RESPONSES if user_agent.startswith(JSON_CLIENTS) else RESPONSES
