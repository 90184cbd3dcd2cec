"""The routes that RudderStack, Segment and MetaRouter share. The key's dialect, or the route, decides the answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponseBase

from audience.intake.dialects import metarouter, rudderstack, segment
from audience.intake.dialects.base import IngestView, basic_user
from audience.intake.dialects.responses import BatchResult, Refusal, RequestProblem, Responses
from audience.intake.dialects.segment_keys import MAX_BATCH_MEMBERS, UNKNOWN_KEY, key_values, without_secret
from audience.intake.messages.message import Message, Rejected, Violation
from audience.intake.requests import restrictions
from audience.intake.requests.auth import find_keys, find_live_key
from audience.intake.requests.caller import record_caller
from audience.intake.storing.rows import Submission
from audience.models import ApiKey, Dialect
from audience.models.keys import SENDER_KINDS

BATCH = "batch"
# The largest limit of these dialects, for as long as the key is not known.
MAX_BODY_BYTES = rudderstack.RESPONSES.batch_limit
RESPONSES_BY_DIALECT: Mapping[str, Responses] = {
    responses.dialect: responses for responses in (rudderstack.RESPONSES, metarouter.RESPONSES)
}
Members = list[tuple[ApiKey | None, Message | Rejected]]


class SegmentView(IngestView):
    """One route; `kind` is one of segment.TYPES, or "batch".

    On a `shared` route the key's dialect decides `responses`; `default_responses` are used there until the key is
    known, and for keys of other dialects. On other routes they are always used.
    """

    kind = BATCH
    default_responses: Responses = rudderstack.RESPONSES
    shared = True
    # The kinds of keys it accepts. Pixels accept publishable keys only: a key in an image URL is public.
    key_kinds: Sequence[str] = SENDER_KINDS

    def prepare(self) -> None:
        self.responses = self.default_responses
        # The keys in the body, by their value; empty when there is a key outside the body.
        self.body_keys: Mapping[str, ApiKey] = {}
        self.envelope: dict[str, Any] = {}
        super().prepare()

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        return Refusal(self.responses.problem(problem, batch=self.kind == BATCH))

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        key, payload, size = self.receive(basic_user(request) or request.GET.get("writeKey", ""))
        if size > (self.responses.batch_limit if self.kind == BATCH else self.responses.call_limit):
            raise self.refuse(RequestProblem.TOO_LARGE)
        if self.kind == BATCH:
            return await self.handle_batch(payload, key)
        return await self.handle_one(payload, key)

    def receive(self, named: str) -> tuple[ApiKey, Any, int]:
        """The key, the JSON and its size in bytes. `named` is the key outside the body.

        Sets `responses` as soon as the key is known: an unreadable body is refused in the dialect of the header's key.
        """
        key = find_live_key(named, kinds=self.key_kinds) if named else None
        if key:
            self.choose_responses(key)
        data = self.read(self.request, limit=MAX_BODY_BYTES)
        if named and key is None:
            raise self.unknown_key(named)
        payload = self.payload(data, named)
        if key is None:
            key = self.key_in_body(payload)
            self.choose_responses(key)
        self.admit(key)
        return key, payload, len(data)

    def payload(self, data: bytes, named: str) -> Any:
        """The JSON. An unreadable body without a key outside it is refused for having no key."""
        try:
            return self.decode(data)
        except Refusal:
            if not named:
                raise self.refuse(RequestProblem.NO_KEY) from None
            raise

    def find_key(self, value: str) -> ApiKey:
        if not value:
            raise self.refuse(RequestProblem.NO_KEY)
        key = find_live_key(value, kinds=self.key_kinds)
        if key is None:
            raise self.unknown_key(value)
        return key

    def unknown_key(self, value: str) -> Refusal:
        return self.for_expired_key(self.refuse(RequestProblem.UNKNOWN_KEY), value, route=self.kind)

    def key_in_body(self, payload: Any) -> ApiKey:
        """The first live key in the body: a member with an invalid key does not refuse the others."""
        named = key_values(payload)
        if not named:
            raise self.refuse(RequestProblem.NO_KEY)
        self.body_keys = find_keys(named, kinds=self.key_kinds)
        found = next((self.body_keys[name] for name in named if name in self.body_keys), None)
        return found or self.find_key(named[0])

    def choose_responses(self, key: ApiKey) -> None:
        if self.shared:
            self.responses = RESPONSES_BY_DIALECT.get(key.dialect, self.default_responses)
            self.dialect = self.responses.dialect

    async def handle_one(self, raw: Any, key: ApiKey) -> HttpResponseBase:
        if not isinstance(raw, dict):
            raise self.refuse(RequestProblem.NOT_AN_EVENT)
        # The route overwrites `type`.
        kind = self.kind
        both = corrects_both_directions(key)
        envelope = segment.BatchEnvelope(received_at=self.received_at, sent_at=self.sent_at(), both_directions=both)
        parsed, self.envelope = self.parsed(without_secret(raw), kind, envelope, key), envelope.as_json()
        await self.store([(key, parsed)], key)
        return self.responses.refused(parsed) if isinstance(parsed, Rejected) else self.responses.accepted()

    async def handle_batch(self, payload: Any, key: ApiKey) -> HttpResponseBase:
        members = payload.get("batch") if isinstance(payload, dict) else None
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise self.refuse(RequestProblem.NOT_AN_EVENT)
        if not members:
            raise self.refuse(RequestProblem.EMPTY_BATCH)
        if len(members) > MAX_BATCH_MEMBERS:
            raise self.refuse(RequestProblem.TOO_LARGE)
        envelope = segment.BatchEnvelope(
            received_at=self.received_at,
            both_directions=corrects_both_directions(key),
            sent_at=payload.get("sentAt") or self.sent_at(),
            timestamp=payload.get("timestamp") if self.responses.batch_timestamp else None,
            context=segment.mapping(payload, "context"),
            integrations=segment.mapping(payload, "integrations"),
        )
        top = segment.text_of(payload.get("writeKey"))
        parsed = [self.member(without_secret(member), self.owner(member, top, key), envelope) for member in members]
        self.envelope = envelope.as_json()
        await self.store(parsed, key)
        rejected = [(index, what) for index, (_, what) in enumerate(parsed) if isinstance(what, Rejected)]
        partial = key.dialect == Dialect.METAROUTER
        return self.responses.batch(BatchResult(len(parsed) - len(rejected), rejected), partial=partial)

    def owner(self, raw: dict[str, Any], top: str, key: ApiKey) -> ApiKey | None:
        """The key a member belongs to: its own, else the batch's. None when that is not a live key."""
        named = segment.text_of(raw.get("writeKey")) or top
        return self.body_keys.get(named) if self.body_keys and named else key

    def member(
        self, raw: dict[str, Any], owner: ApiKey | None, envelope: segment.BatchEnvelope
    ) -> tuple[ApiKey | None, Message | Rejected]:
        """One member of a batch, of the `type` it states."""
        problem = None
        if len(orjson.dumps(raw)) > self.responses.call_limit:
            problem = Violation("", "TOO_LARGE", "request size exceeds max limit")
        elif owner is None:
            problem = UNKNOWN_KEY
        if problem or owner is None:
            return owner, _rejected(raw, problem or UNKNOWN_KEY)
        return owner, self.parsed(raw, segment.text_of(raw.get("type")).lower(), envelope, owner)

    def parsed(
        self, raw: dict[str, Any], kind: str, envelope: segment.BatchEnvelope, key: ApiKey
    ) -> Message | Rejected:
        if kind not in segment.TYPES:
            return _rejected(raw, segment.UNSUPPORTED_TYPE)
        try:
            return self.permitted(segment.parse(raw, kind=kind, envelope=envelope), key)
        except segment.InvalidMessage as error:
            return _rejected(raw, error.violation)

    def permitted(self, message: Message, key: ApiKey) -> Message | Rejected:
        """The message, rejected if its key may not send it."""
        if not key.is_restricted:
            return message
        why = self.caller_violation(key) or restrictions.event_violation(key, message)
        return _rejected(message.raw, why) if why else message

    async def store(self, parsed: Members, key: ApiKey) -> None:
        """Store all members in one transaction: a batch may hold messages of several keys."""
        for what in (what for _, what in parsed if isinstance(what, Rejected)):
            what.route, what.envelope = self.kind, self.envelope
        messages = [what for _, what in parsed if isinstance(what, Message)]
        record_caller(self.request, messages, [what for _, what in parsed if isinstance(what, Rejected)])
        owners = {(member_key or key).pk: member_key or key for member_key, _ in parsed}
        await self.accept([self.submission(owner, parsed, key) for owner in owners.values()])

    def submission(self, owner: ApiKey, parsed: Members, key: ApiKey) -> Submission:
        own = [what for member_key, what in parsed if (member_key or key).pk == owner.pk]
        return Submission(
            key=owner,
            dialect=self.responses.dialect,
            received_at=self.received_at,
            messages=[what for what in own if isinstance(what, Message)],
            rejected=[what for what in own if isinstance(what, Rejected)],
        )

    def sent_at(self) -> str:
        return str(self.request.META.get("HTTP_SENTAT", ""))


def _rejected(raw: dict[str, Any], why: Violation) -> Rejected:
    return Rejected(segment.text_of(raw.get("messageId")) or None, [why], raw)


class MetaRouterView(SegmentView):
    """A route of MetaRouter's own: answered in its format whatever the key's dialect."""

    default_responses = metarouter.RESPONSES
    shared = False
    dialect = Dialect.METAROUTER


def corrects_both_directions(key: ApiKey) -> bool:
    """MetaRouter documents that `timestamp` is corrected by `sentAt`; RudderStack that it is stored as it was sent."""
    return key.dialect != Dialect.RUDDERSTACK
