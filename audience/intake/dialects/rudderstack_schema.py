"""RudderStack's answers as OpenAPI: a sentence as text/plain."""

from audience.intake.dialects import openapi as api
from audience.intake.dialects import segment
from audience.intake.dialects.rudderstack import SENTENCES
from audience.intake.dialects.words import Problem
from audience.intake.requests.restrictions import ADDRESS_NOT_ALLOWED, EVENT_NOT_ALLOWED, ORIGIN_NOT_ALLOWED

TAG = "RudderStack and Segment"
# What one message is refused for, beside the sentences for whole requests.
REASONS = (
    segment.NO_ID,
    "event is required for track",
    "groupId is required for group",
    "previousId is required for alias",
    "mergeProperties is required for merge",
    f"type must be one of {', '.join(segment.TYPES)}",
    f"userId is longer than {segment.LONGEST_ID} characters",
    *(why.message for why in (EVENT_NOT_ALLOWED, ORIGIN_NOT_ALLOWED, ADDRESS_NOT_ALLOWED)),
)
SENTENCE: api.Schema = {"type": "string", "minLength": 1}


def _sentence(problem: Problem, description: str, *headers: str) -> dict[int, api.Schema]:
    status, text = SENTENCES[problem]
    return {status: api.answer(description, api.content(api.TEXT, SENTENCE, {text: text}), *headers)}


_refusals = [text for status, text in SENTENCES.values() if status == 400]
TAKEN = api.answer("On disk. Exactly 200.", api.content(api.TEXT, {"type": "string", "const": "OK"}, {"OK": "OK"}))
REFUSED = api.answer(
    "Nothing was stored; sending the same again will not help.",
    api.content(api.TEXT, SENTENCE, {text: text for text in (*_refusals, *REASONS)}),
)
PASSING: api.Answers = {
    **_sentence(Problem.METHOD, "Another method.", "Allow"),
    **_sentence(Problem.BROKEN, "Our fault; send it again."),
    **_sentence(Problem.STORAGE_AWAY, "A passing fault; send it again.", *api.AGAIN),
}
ANSWERS: api.Answers = {
    200: TAKEN,
    400: REFUSED,
    **_sentence(Problem.TOO_MANY_REQUESTS, "The key calls more often than its limit allows.", *api.LATER),
    **PASSING,
}
