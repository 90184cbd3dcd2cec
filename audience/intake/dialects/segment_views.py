"""The routes that RudderStack, Segment and MetaRouter share. Answers are in the key's dialect, or the route's."""

from typing import Any

import orjson
from django.http import HttpRequest, HttpResponseBase

from audience.ids.values import LostDigits
from audience.intake.dialects import metarouter, segment, segment_ids
from audience.intake.dialects.refusing import too_large
from audience.intake.dialects.responses import RequestProblem
from audience.intake.dialects.segment_fields import (
    MAX_BATCH_MEMBERS,
    follows_metarouter,
    json_mapping,
    mapping,
    text_of,
    without_secret,
)
from audience.intake.dialects.segment_requests import BATCH, MEMBERS, SegmentRequest
from audience.intake.messages.message import Message, Rejected, Violation
from audience.intake.requests.auth import basic_user
from audience.models import ApiKey, Dialect

TOO_LARGE = Violation("", "TOO_LARGE", "request size exceeds max limit")
UNKNOWN_KEY = Violation("writeKey", "UNKNOWN_KEY", "invalid write key")
# Each message of a request with the key it belongs to.
Members = list[tuple[ApiKey, Message | Rejected]]


class SegmentView(SegmentRequest):
    """A route, which is one of segment.TYPES, or "batch"."""

    envelope: segment.BatchEnvelope

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        key, payload, size = self.receive(basic_user(request) or request.GET.get("writeKey", ""))
        return await self.handle(payload, key, size)

    async def handle(self, payload: Any, key: ApiKey, size: int) -> HttpResponseBase:
        limit = self.responses.batch_limit if self.route == BATCH else self.responses.call_limit
        if size > limit:
            raise self.refuse_content(RequestProblem.TOO_LARGE, too_large(limit))
        handler = self.handle_batch if self.route == BATCH else self.handle_one
        try:
            return await handler(payload, key)
        except LostDigits:
            return await handler(self.decode(self.body, keep_digits=True, members=MEMBERS), key)

    async def handle_one(self, raw: Any, key: ApiKey) -> HttpResponseBase:
        if not isinstance(raw, dict):
            raise self.refuse_content(RequestProblem.NOT_AN_EVENT, "The body has to be one event, a JSON object.")
        self.envelope = segment.BatchEnvelope(
            received_at=self.received_at, sent_at=self.sent_at(), is_metarouter=follows_metarouter(key)
        )
        # The kind is that of the route, whatever `type` the message states.
        return await self.store_one(self.parse(without_secret(raw), self.route, key), key)

    async def handle_batch(self, payload: Any, key: ApiKey) -> HttpResponseBase:
        members = self.members(payload)
        self.envelope = segment.BatchEnvelope(
            received_at=self.received_at,
            is_metarouter=follows_metarouter(key),
            sent_at=payload.get("sentAt") or self.sent_at(),
            timestamp=payload.get("timestamp") if self.responses.batch_timestamp else None,
            context=json_mapping(payload, "context"),
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

    def members(self, payload: Any) -> list[dict[str, Any]]:
        """The members of a batch. Raises Refusal when it has none, too many, or others than objects."""
        members = payload.get(MEMBERS) if isinstance(payload, dict) else None
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            text = f"The body has to be an object with the events in a list `{MEMBERS}`."
            raise self.refuse_content(RequestProblem.NOT_AN_EVENT, text)
        if not members:
            raise self.refuse_content(RequestProblem.EMPTY_BATCH, f"The list `{MEMBERS}` is empty.")
        if len(members) > MAX_BATCH_MEMBERS:
            text = f"The batch has more than {MAX_BATCH_MEMBERS} events. Send smaller batches."
            raise self.refuse_content(RequestProblem.TOO_LARGE, text)
        return members

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
        except segment_ids.InvalidMessage as error:
            return self.reject(raw, error.violation)
        if suppressed := self.suppressed(key, message, text_of(raw.get("messageId")) or None):
            return suppressed
        violation = self.violation(key, message)
        return self.reject(raw, violation) if violation else message

    def read_message(self, raw: dict[str, Any], kind: str) -> Message:
        """The message as a Message. Raises segment_ids.InvalidMessage."""
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


class ShortView(SegmentView):
    """A short route, or import. Segment's clients for Ruby and Java use them with a key of RudderStack's dialect."""

    default_responses = metarouter.RESPONSES
