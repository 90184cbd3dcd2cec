"""The key, the JSON and the dialect of the answer on the routes that RudderStack, Segment and MetaRouter share."""

from collections.abc import Mapping, Sequence
from typing import Any

from audience.intake.dialects import metarouter, rudderstack
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.responses import Refusal, RequestProblem, Responses
from audience.intake.dialects.segment_fields import key_values
from audience.intake.requests.auth import find_key, find_keys
from audience.models import ApiKey, Dialect
from audience.models.keys import SENDER_KINDS
from audience.models.tokens import TOKEN_MARK

BATCH = "batch"
# The name of the list of events in a batch.
MEMBERS = "batch"
# The largest limit of these dialects, used until the key is known.
MAX_BODY_BYTES = rudderstack.RESPONSES.batch_limit
RESPONSES_BY_DIALECT: Mapping[str, Responses] = {
    responses.dialect: responses for responses in (rudderstack.RESPONSES, metarouter.RESPONSES)
}


class SegmentRequest(IngestView):
    """If the route `is_shared`, `responses` are those of the key's dialect; `default_responses` are used until the key
    is known, and for keys of other dialects. On other routes they are always used.
    """

    route = BATCH
    default_responses: Responses = rudderstack.RESPONSES
    is_shared = True
    # The kinds of keys that it accepts. Pixels accept publishable keys only, since a key in an image URL is public.
    key_kinds: Sequence[str] = SENDER_KINDS

    def prepare(self) -> None:
        super().prepare()
        self.use_responses(self.default_responses)
        # The live keys in the body, by value; empty when there is a key outside the body.
        self.body_keys: Mapping[str, ApiKey] = {}

    def use_responses(self, responses: Responses) -> None:
        self.responses, self.dialect = responses, responses.dialect

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        return Refusal(self.responses.answer_problem(problem, batch=self.route == BATCH))

    def receive(self, outer_key: str) -> tuple[ApiKey, Any, int]:
        """The key, the JSON and its size in bytes. `outer_key` is the value of a key outside the body, or ''.

        Sets `responses` as soon as the key is known: an unreadable body is refused in the dialect of the outer key.
        """
        key = find_key(outer_key, kinds=self.key_kinds) if outer_key else None
        if key:
            self.choose_responses(key)
            self.admit(key)
        data = self.read(self.request, limit=MAX_BODY_BYTES)
        if outer_key and key is None:
            raise self.unknown_key(outer_key)
        payload = self.payload(data, outer_key)
        if key is None:
            key = self.key_in_body(payload)
            self.choose_responses(key)
            self.admit(key)
        return key, payload, len(data)

    def payload(self, data: bytes, outer_key: str) -> Any:
        """The JSON. An unreadable body without an outer key is refused with NO_KEY."""
        self.body = data
        try:
            return self.decode(data, members=MEMBERS)
        except Refusal:
            if not outer_key:
                raise self.refuse(RequestProblem.NO_KEY) from None
            raise

    def require_key(self, value: str) -> ApiKey:
        if not value:
            raise self.refuse(RequestProblem.NO_KEY)
        key = find_key(value, kinds=self.key_kinds)
        if key is None:
            raise self.unknown_key(value)
        return key

    def unknown_key(self, value: str) -> Refusal:
        if value.startswith(TOKEN_MARK):
            return self.management_token()
        return self.with_expired_key_rejection(self.refuse(RequestProblem.UNKNOWN_KEY), value)

    def key_in_body(self, payload: Any) -> ApiKey:
        """The first live key in the body: an invalid key of a member does not fail the other members."""
        values = key_values(payload)
        if not values:
            raise self.refuse(RequestProblem.NO_KEY)
        self.body_keys = find_keys(values, kinds=self.key_kinds)
        key = next((self.body_keys[value] for value in values if value in self.body_keys), None)
        return key or self.require_key(values[0])

    def choose_responses(self, key: ApiKey) -> None:
        if not self.is_shared:
            return
        if key.dialect == Dialect.RUDDERSTACK:
            self.use_responses(rudderstack.responses_for(self.request.META.get("HTTP_USER_AGENT", "")))
        else:
            self.use_responses(RESPONSES_BY_DIALECT.get(key.dialect, self.default_responses))
