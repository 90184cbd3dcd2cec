"""The routes that RudderStack, Segment and MetaRouter share. Answers are in the key's dialect, or the route's."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponseBase

from audience.ids.values import LostDigits
from audience.intake.dialects import metarouter, rudderstack, segment
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.responses import Refusal, RequestProblem, Responses
from audience.intake.dialects.segment_fields import MAX_BATCH_MEMBERS, key_values, mapping, text_of, without_secret
from audience.intake.messages.message import Message, Rejected, Violation
from audience.intake.requests.auth import basic_user, find_key, find_keys
from audience.models import ApiKey, Dialect
from audience.models.keys import SENDER_KINDS

BATCH = "batch"
# The largest limit of these dialects, used until the key is known.
MAX_BODY_BYTES = rudderstack.RESPONSES.batch_limit
RESPONSES_BY_DIALECT: Mapping[str, Responses] = {
    responses.dialect: responses for responses in (rudderstack.RESPONSES, metarouter.RESPONSES)
}
TOO_LARGE = Violation("", "TOO_LARGE", "request size exceeds max limit")
UNKNOWN_KEY = Violation("writeKey", "UNKNOWN_KEY", "invalid write key")
# Each message of a request with the key it belongs to.
Members = list[tuple[ApiKey, Message | Rejected]]


class SegmentView(IngestView):
    """A route, which is one of segment.TYPES, or "batch".

    If it `is_shared`, `responses` are those of the key's dialect; `default_responses` are used until the key is known,
    and for keys of other dialects. On other routes they are always used.
    """

    route = BATCH
    default_responses: Responses = rudderstack.RESPONSES
    is_shared = True
    # The kinds of keys that it accepts. Pixels accept publishable keys only, since a key in an image URL is public.
    key_kinds: Sequence[str] = SENDER_KINDS
    envelope: segment.BatchEnvelope

    def prepare(self) -> None:
        super().prepare()
        self.use_responses(self.default_responses)
        # The live keys in the body, by value; empty when there is a key outside the body.
        self.body_keys: Mapping[str, ApiKey] = {}

    def use_responses(self, responses: Responses) -> None:
        self.responses, self.dialect = responses, responses.dialect

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        return Refusal(self.responses.answer_problem(problem, batch=self.route == BATCH))

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        key, payload, size = self.receive(basic_user(request) or request.GET.get("writeKey", ""))
        return await self.handle(payload, key, size)

    async def handle(self, payload: Any, key: ApiKey, size: int) -> HttpResponseBase:
        if size > (self.responses.batch_limit if self.route == BATCH else self.responses.call_limit):
            raise self.refuse(RequestProblem.TOO_LARGE)
        handler = self.handle_batch if self.route == BATCH else self.handle_one
        try:
            return await handler(payload, key)
        except LostDigits:
            return await handler(self.decode(self.body, keep_digits=True), key)

    def receive(self, outer_key: str) -> tuple[ApiKey, Any, int]:
        """The key, the JSON and its size in bytes. `outer_key` is the value of a key outside the body, or ''.

        Sets `responses` as soon as the key is known: an unreadable body is refused in the dialect of the outer key.
        """
        key = find_key(outer_key, kinds=self.key_kinds) if outer_key else None
        if key:
            self.choose_responses(key)
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
            return self.decode(data)
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
        if self.is_shared:
            self.use_responses(RESPONSES_BY_DIALECT.get(key.dialect, self.default_responses))

    async def handle_one(self, raw: Any, key: ApiKey) -> HttpResponseBase:
        if not isinstance(raw, dict):
            raise self.refuse(RequestProblem.NOT_AN_EVENT)
        self.envelope = segment.BatchEnvelope(
            received_at=self.received_at, sent_at=self.sent_at(), both_directions=corrects_both_directions(key)
        )
        # The kind is that of the route, whatever `type` the message states.
        return await self.store_one(self.parse(without_secret(raw), self.route, key), key)

    async def handle_batch(self, payload: Any, key: ApiKey) -> HttpResponseBase:
        members = payload.get("batch") if isinstance(payload, dict) else None
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise self.refuse(RequestProblem.NOT_AN_EVENT)
        if not members:
            raise self.refuse(RequestProblem.EMPTY_BATCH)
        if len(members) > MAX_BATCH_MEMBERS:
            raise self.refuse(RequestProblem.TOO_LARGE)
        self.envelope = segment.BatchEnvelope(
            received_at=self.received_at,
            both_directions=corrects_both_directions(key),
            sent_at=payload.get("sentAt") or self.sent_at(),
            timestamp=payload.get("timestamp") if self.responses.batch_timestamp else None,
            context=mapping(payload, "context"),
            integrations=mapping(payload, "integrations"),
        )
        batch_key = text_of(payload.get("writeKey"))
        parsed: Members = []
        for member in members:
            member_key = self.key_of(member, batch_key, key)
            parsed.append((member_key or key, self.parse_member(without_secret(member), member_key)))
        await self.store(parsed)
        rejected = [(index, member) for index, (_, member) in enumerate(parsed) if isinstance(member, Rejected)]
        supports_207 = key.dialect == Dialect.METAROUTER
        return self.responses.answer_batch(len(parsed) - len(rejected), rejected, supports_207=supports_207)

    def key_of(self, raw: dict[str, Any], batch_key: str, key: ApiKey) -> ApiKey | None:
        """The key that a member belongs to: its `writeKey`, else the batch's. None when that is not a live key."""
        value = text_of(raw.get("writeKey")) or batch_key
        return self.body_keys.get(value) if self.body_keys and value else key

    def parse_member(self, raw: dict[str, Any], member_key: ApiKey | None) -> Message | Rejected:
        """A member of a batch, parsed as the `type` that it states."""
        if len(orjson.dumps(raw)) > self.responses.call_limit:
            return self.reject(raw, TOO_LARGE)
        if member_key is None:
            return self.reject(raw, UNKNOWN_KEY)
        return self.parse(raw, text_of(raw.get("type")).lower(), member_key)

    def parse(self, raw: dict[str, Any], kind: str, key: ApiKey) -> Message | Rejected:
        try:
            message = self.read_message(raw, kind)
        except segment.InvalidMessage as error:
            return self.reject(raw, error.violation)
        violation = self.violation(key, message)
        return self.reject(raw, violation) if violation else message

    def read_message(self, raw: dict[str, Any], kind: str) -> Message:
        """The message as a Message. Raises segment.InvalidMessage."""
        return segment.parse(raw, kind=kind, envelope=self.envelope)

    def reject(self, raw: dict[str, Any], violation: Violation) -> Rejected:
        message_id = text_of(raw.get("messageId")) or None
        return Rejected(message_id, [violation], raw, route=self.route, envelope=self.envelope.as_json())

    async def store_one(self, parsed: Message | Rejected, key: ApiKey) -> HttpResponseBase:
        await self.store([(key, parsed)])
        if isinstance(parsed, Rejected):
            return self.responses.answer_rejected(parsed)
        return self.responses.answer_accepted()

    async def store(self, parsed: Members) -> None:
        """Store all members in one transaction: a batch may contain messages of several keys."""
        submissions = []
        for member_key in {key.pk: key for key, _ in parsed}.values():
            members = [member for key, member in parsed if key.pk == member_key.pk]
            messages = [member for member in members if isinstance(member, Message)]
            rejected = [member for member in members if isinstance(member, Rejected)]
            submissions.append(self.submission(member_key, messages, rejected))
        await self.accept(submissions)

    def sent_at(self) -> str:
        return str(self.request.META.get("HTTP_SENTAT", ""))


class MetaRouterView(SegmentView):
    """A route of MetaRouter only: answered in its format, independent of the key's dialect."""

    default_responses = metarouter.RESPONSES
    is_shared = False


def corrects_both_directions(key: ApiKey) -> bool:
    """MetaRouter documents that `timestamp` is corrected by `sentAt`, and RudderStack that it is stored as sent."""
    return key.dialect != Dialect.RUDDERSTACK
