"""The Parcelvoy client dialect: Bearer key, 204 once the data is stored, refusal of requests with an invalid item."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience.intake.dialects import parcelvoy_rules as rules
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.responses import Refusal, RequestProblem, as_json
from audience.intake.messages.message import Message, Violation
from audience.intake.messages.message_ids import is_placeholder
from audience.intake.messages.times import read_timing
from audience.intake.requests import restrictions
from audience.intake.requests.auth import find_key
from audience.intake.requests.body import WHOLE
from audience.models import ApiKey, Dialect, KeyKind, Kind

MAX_BODY_BYTES = 1024 * 1024
ANSWERS = {
    RequestProblem.NO_KEY: (401, "Authorization error.", 1000),
    RequestProblem.UNKNOWN_KEY: (401, "Authorization error.", 1000),
    RequestProblem.TOO_MANY_REQUESTS: (429, "Too many requests.", None),
    RequestProblem.METHOD: (405, "Method not allowed.", None),
    RequestProblem.DATABASE_UNAVAILABLE: (503, "Storage is temporarily unavailable. Send the request again.", None),
    RequestProblem.INTERNAL_ERROR: (500, "An error occurred with this request.", None),
}
# Malformed JSON, and a body over MAX_BODY_BYTES.
BAD_REQUEST = (400, "An error occurred with this request.", None)
PROFILE_FIELDS = ("email", "phone", "timezone", "locale")


class ParcelvoyView(IngestView):
    dialect = Dialect.PARCELVOY

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        return error(*ANSWERS.get(problem, BAD_REQUEST))

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        key = self.require_key(request)
        payload = self.decode(self.read(request, limit=MAX_BODY_BYTES), members=WHOLE)
        try:
            messages = self.parse(payload, now=self.received_at)
        except rules.InvalidItem as invalid:
            violation = Violation(invalid.path, "VALIDATION", str(invalid))
            raise self.with_rejection(error(422, str(invalid), None), key, violation, payload) from None
        messages, suppressed = self.without_suppressed(key, messages)
        if suppressed and not messages:
            # No answer refuses a part of a request.
            refusal = error(422, restrictions.SUPPRESSED.message, None)
            refusal.submissions = [self.submission(key, [], suppressed)]
            raise refusal
        if restriction := next(filter(None, (self.violation(key, message) for message in messages)), None):
            is_event = restriction == restrictions.EVENT_NOT_ALLOWED
            refusal = error(422, restriction.message, None) if is_event else self.refuse(RequestProblem.UNKNOWN_KEY)
            raise self.with_rejection(refusal, key, restriction, payload)
        await self.accept([self.submission(key, messages, suppressed)])
        return HttpResponse(status=204)

    def require_key(self, request: HttpRequest) -> ApiKey:
        scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not value.strip().startswith(("pk_", "sk_")):
            raise self.refuse(RequestProblem.NO_KEY)
        key = find_key(value.strip(), kinds=KeyKind.values)
        if key is None:
            raise self.with_expired_key_rejection(self.refuse(RequestProblem.UNKNOWN_KEY), value.strip())
        self.admit(key)
        return key

    def parse(self, payload: Any, *, now: datetime) -> list[Message]:
        """The messages of the body, in their order. Raises rules.InvalidItem."""
        raise NotImplementedError(type(self).__name__)


def error(status: int, text: str, code: int | None) -> Refusal:
    body = {"status": "error", "error": text} | ({"code": code} if code else {})
    return Refusal(as_json(body, status=status))


class AliasView(ParcelvoyView):
    route = "alias"

    def parse(self, payload: Any, *, now: datetime) -> list[Message]:
        rules.check_type(payload, dict, "")
        anonymous_id, external_id = (rules.required_id(payload, name) for name in ("anonymous_id", "external_id"))
        return [_message(Kind.ALIAS, payload, now, anonymous_id=anonymous_id, user_id=external_id)]


class IdentifyView(ParcelvoyView):
    route = "identify"
    FIELDS = frozenset({"anonymous_id", "external_id", "data", *PROFILE_FIELDS})

    def parse(self, payload: Any, *, now: datetime) -> list[Message]:
        rules.check_type(payload, dict, "")
        rules.check_fields(payload, self.FIELDS)
        anonymous_id, external_id = rules.read_ids(payload)
        traits = _traits(payload)
        return [_message(Kind.IDENTIFY, payload, now, anonymous_id=anonymous_id, user_id=external_id, traits=traits)]


class DevicesView(ParcelvoyView):
    route = "device"

    def parse(self, payload: Any, *, now: datetime) -> list[Message]:
        rules.check_type(payload, dict, "")
        anonymous_id, external_id = rules.read_ids(payload)
        device_id = rules.required_id(payload, "device_id")
        for name in ("os", "model", "app_build", "app_version"):
            rules.required_text(payload, name)
        token = payload.get("token")
        if token is not None:
            rules.check_type(token, str, "token")
        extra = {k: v for k, v in payload.items() if k not in {"anonymous_id", "external_id", "device_id", "token"}}
        return [
            _message(
                Kind.DEVICE,
                payload,
                now,
                anonymous_id=anonymous_id,
                user_id=external_id,
                device_id=device_id,
                properties={**extra, **({"token": token} if token else {})},
            )
        ]


class EventsView(ParcelvoyView):
    route = "track"

    def parse(self, payload: Any, *, now: datetime) -> list[Message]:
        rules.check_type(payload, list, "")
        if not payload:
            raise rules.InvalidItem("", "Must NOT have fewer than 1 items")
        return [message for index, item in enumerate(payload) for message in _event(item, f"{index}", now)]


class TrackView(ParcelvoyView):
    """One event, with its name in `event`, as the JavaScript client sends it; also a list like that of EventsView."""

    route = "client-track"

    def parse(self, payload: Any, *, now: datetime) -> list[Message]:
        if isinstance(payload, list):
            return EventsView().parse(payload, now=now)
        return _event(payload, "", now)


def _event(item: Any, position: str, now: datetime) -> list[Message]:
    """The messages of one item: a track event, after an identify if the item has a `user`."""
    rules.check_type(item, dict, position)
    path = f"{position}/" if position else ""
    anonymous_id, external_id = rules.read_ids(item, path)
    # The Android client sends `properties` in place of `data`.
    properties = {**rules.json_object(item, "properties", path), **rules.json_object(item, "data", path)}
    event = _message(
        Kind.TRACK,
        item,
        now,
        name=rules.optional_text(item, "name", path) or rules.optional_text(item, "event", path),
        anonymous_id=anonymous_id,
        user_id=external_id,
        properties=properties,
    )
    user = rules.optional_object(item, "user", path)
    if not user:
        return [event]
    identify = _message(
        Kind.IDENTIFY,
        {"created_at": item.get("created_at"), "user": user},
        now,
        anonymous_id=anonymous_id,
        user_id=external_id,
        traits=_traits(rules.without_bad_timezone(user), f"{path}user/"),
    )
    event.is_joined = True
    # Derived from the id of the event, so that it is the same in a retry.
    identify.message_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{event.message_id} user"))
    return [identify, event]


def _traits(parent: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The profile fields, and further data. An explicit null is kept, since it clears the trait."""
    for name in PROFILE_FIELDS:
        rules.optional_text(parent, name, path)
    rules.check_timezone(parent, path)
    profile = {name: parent[name] for name in PROFILE_FIELDS if name in parent}
    return {**rules.optional_object(parent, "data", path), **profile}


def _message(kind: Kind, raw: Mapping[str, Any], now: datetime, **fields: Any) -> Message:
    timing = read_timing(raw.get("created_at"), received_at=now)
    message = Message(
        kind=kind,
        message_id=_message_id(raw.get("message_id")),
        event_at=timing.event_at,
        day=timing.day,
        time_note=timing.note,
        raw=dict(raw),
        time_fields=("created_at",),
        **fields,
    )
    message.move_placeholders()
    return message


def _message_id(stated: Any) -> str:
    """The stated id, or a UUID derived from it if it is too long; a new UUID for a placeholder or none."""
    text = stated.strip() if isinstance(stated, str) else ""
    if is_placeholder(text):
        return str(uuid.uuid4())
    if len(text) > rules.MAX_LENGTH:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, text))
    return text
