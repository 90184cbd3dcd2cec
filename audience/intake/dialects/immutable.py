"""The Immutable Audience dialect: /v1/audience/..., the key in a header, all violations of all messages."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse

from audience.intake.dialects import immutable_rules as rules
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.immutable_route import ImmutableRoute
from audience.intake.dialects.responses import as_json
from audience.intake.messages.message import MESSAGE_ID_REUSED, Message, Rejected, Violation
from audience.intake.messages.times import read_timing
from audience.intake.storing.accept import AcceptResult
from audience.models import ApiKey, Kind

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_MESSAGES = 100
# The client's names -> the names in message.Message; other keys of the context are kept.
CONTEXT_NAMES = {
    "userAgent": "user_agent",
    "browserLanguage": "browser_language",
    "pageUrl": "page_url",
    "pagePath": "page_path",
    "pageTitle": "page_title",
    "pageReferrer": "page_referrer",
    "libraryVersion": "library_version",
}


def reject_reused(message: Message) -> Rejected:
    """The rejection of a valid message whose id another event has."""
    text = "Another event has this messageId. Each event needs its own messageId. A retry must repeat the whole event."
    errors = [Violation("messageId", MESSAGE_ID_REUSED, text)]
    return Rejected(message.raw["messageId"], errors, message.raw, request_ip=message.request_ip, origin=message.origin)


class MessagesView(ImmutableRoute, IngestView):
    """POST /v1/audience/messages"""

    route = "messages"
    reject_reused = staticmethod(reject_reused)

    async def post(self, request: HttpRequest) -> HttpResponse:
        key = self.require_key(request)
        payload = self.decode(self.read(request, limit=MAX_BODY_BYTES), members="messages")
        if not isinstance(payload, dict) or not isinstance(payload.get("messages"), list):
            raise self.content_error('The body must be an object: {"messages": [...]}.')
        if not 1 <= len(payload["messages"]) <= MAX_MESSAGES:
            text = f"messages must contain 1 to {MAX_MESSAGES} messages, not {len(payload['messages'])}."
            raise self.content_error(text)
        messages, rejected = parse(payload["messages"], now=self.received_at)
        if key.is_restricted or key.game.suppressed_ids:
            messages = self.permitted_messages(key, messages, rejected)
        [result] = await self.accept([self.submission(key, messages, rejected)])
        return as_json(answer_body(result, [*rejected, *result.reused]))

    def permitted_messages(self, key: ApiKey, messages: list[Message], rejected: list[Rejected]) -> list[Message]:
        """The messages that the key may send and whose player is not suppressed; the others are added to `rejected`."""
        permitted = []
        for message in messages:
            if suppressed := self.suppressed(key, message, message.raw["messageId"]):
                rejected.append(suppressed)
            elif violation := self.violation(key, message):
                rejected.append(Rejected(message.raw["messageId"], [violation], message.raw))
            else:
                permitted.append(message)
        return permitted


def answer_body(result: AcceptResult, rejected: list[Rejected]) -> dict[str, Any]:
    """The body of the answer. `rejections` has an entry for each distinct id, and for each message without an id."""
    entries: dict[Any, dict[str, Any]] = {}
    for index, rejection in enumerate(rejected):
        key = index if rejection.message_id is None else rejection.message_id
        entry = entries.setdefault(key, {"messageId": rejection.message_id, "errors": []})
        errors = [violation.as_dict() for violation in rejection.errors]
        entry["errors"] += [error for error in errors if error not in entry["errors"]]
    return {
        "success": True,
        "accepted": result.accepted,
        "rejected": result.rejected,
        "rejections": list(entries.values()),
    }


def parse(raw_messages: list[Any], *, now: datetime) -> tuple[list[Message], list[Rejected]]:
    """The valid messages as Message, the others as Rejected with all of their violations."""
    messages: list[Message] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for raw in raw_messages:
        if not isinstance(raw, dict):
            rejected.append(Rejected(None, [Violation("", "INVALID_FORMAT", "A message must be an object.")], raw))
            continue
        message_id = raw.get("messageId") if isinstance(raw.get("messageId"), str) else None
        errors = rules.violations(raw, now=now)
        if message_id and message_id.lower() in seen:
            text = "This messageId is already in the batch; the first message with it was taken."
            errors.append(Violation("messageId", "DUPLICATE_MESSAGE_ID", text))
        if errors:
            rejected.append(Rejected(message_id, errors, raw))
            continue
        seen.add(raw["messageId"].lower())
        messages.append(_message(raw, now))
    return messages, rejected


def _message(raw: dict[str, Any], now: datetime) -> Message:
    """A valid message as Message."""
    kind = Kind(raw["type"])
    timing = read_timing(rules.parse_timestamp(raw["eventTimestamp"]), received_at=now)
    message = Message(
        kind=kind,
        # UUIDs are compared case-insensitively.
        message_id=raw["messageId"].lower(),
        event_at=timing.event_at,
        day=timing.day,
        time_note=timing.note,
        name=rules.text(raw, "eventName"),
        # Both ids of an alias are stored in columns, so that an erasure finds it even if one of them is a placeholder.
        user_id=rules.read_id(raw, "userId") or (rules.read_id(raw, "toId") if kind == Kind.ALIAS else ""),
        anonymous_id=rules.read_id(raw, "anonymousId") or (rules.read_id(raw, "fromId") if kind == Kind.ALIAS else ""),
        device_id=rules.read_id(raw, "deviceId"),
        session_id=rules.text(raw, "sessionId"),
        surface=rules.text(raw, "surface"),
        consent_level=rules.text(raw, "consentLevel"),
        test=raw.get("test") is True,
        properties=raw.get("properties") or {},
        traits=raw.get("traits") or {},
        context={CONTEXT_NAMES.get(name, name): value for name, value in raw["context"].items() if value is not None},
        raw=raw,
        time_fields=rules.TIME_FIELDS,
    )
    message.links = rules.links(raw, message)
    message.move_placeholders()
    message.add_linked_contacts()
    return message
