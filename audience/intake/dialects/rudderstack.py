"""RudderStack's words: 200 `OK`, or 400 and a text/plain sentence that its clients match."""

from django.http import HttpResponse

from audience.intake.dialects.words import Problem, Taken, Words
from audience.intake.messages.message import Rejected
from audience.models import Dialect

SENTENCES = {
    Problem.NO_KEY: (400, "failed to read writekey from header"),
    Problem.UNKNOWN_KEY: (400, "invalid write key"),
    Problem.BAD_ENCODING: (400, "failed to uncompress request body"),
    Problem.BAD_JSON: (400, "invalid json"),
    Problem.NOT_AN_EVENT: (400, "event is not a valid rudder event"),
    Problem.EMPTY_BATCH: (400, "empty batch payload"),
    Problem.TOO_LARGE: (400, "request size exceeds max limit"),
    Problem.TOO_MANY_REQUESTS: (429, "max requests limit reached"),
    Problem.METHOD: (405, "method not allowed"),
    Problem.STORAGE_AWAY: (503, "storage is away for a moment, send this again"),
    Problem.BROKEN: (500, "something broke on our side, send this again"),
}


def sentence(status: int, text: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


class RudderStackWords(Words):
    dialect = Dialect.RUDDERSTACK
    call_limit = 32 * 1024
    batch_limit = 4 * 1024 * 1024

    def accepted(self) -> HttpResponse:
        # Exactly 200: 201, 204 and 207 make two of the Python SDKs send again, up to ten times.
        return sentence(200, "OK")

    def refused(self, rejected: Rejected) -> HttpResponse:
        return sentence(400, rejected.errors[0].message)

    def batch(self, taken: Taken, *, partial: bool) -> HttpResponse:
        if taken.accepted or not taken.rejected:
            return self.accepted()
        return self.refused(taken.rejected[0][1])

    def problem(self, problem: Problem, *, batch: bool) -> HttpResponse:
        return sentence(*SENTENCES[problem])


WORDS = RudderStackWords()
