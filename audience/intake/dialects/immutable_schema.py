"""The Immutable dialect as OpenAPI: both directions, every error shape, the documents' own samples."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema

from audience.intake.dialects import immutable_rules as rules

TEXT: dict[str, Any] = {"type": "string", "maxLength": rules.DEFAULT_LENGTH}
TAG = ["Immutable Audience"]

VIOLATION: dict[str, Any] = {
    "type": "object",
    "required": ["field", "code", "message"],
    "properties": {
        "field": {"type": "string"},
        "code": {
            "type": "string",
            "enum": [
                "MISSING_REQUIRED_FIELD",
                "INVALID_FORMAT",
                "INVALID_VALUE",
                "INVALID_ENUM",
                "UNSUPPORTED_TYPE",
                "DUPLICATE_MESSAGE_ID",
            ],
        },
        "message": {"type": "string"},
    },
}
ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["code", "message", "link", "trace_id", "details"],
    "properties": {
        "code": {
            "type": "string",
            "enum": ["VALIDATION_ERROR", "UNAUTHORISED_REQUEST", "TOO_MANY_REQUESTS_ERROR", "INTERNAL_SERVER_ERROR"],
        },
        "message": {"type": "string"},
        "link": {"type": "string"},
        "trace_id": {"type": "string"},
        "details": {"type": "array", "items": VIOLATION},
    },
}
MESSAGE: dict[str, Any] = {
    "type": "object",
    "required": ["type", "messageId", "eventTimestamp", "context"],
    "properties": {
        "type": {"type": "string", "enum": list(rules.TYPES)},
        "messageId": {"type": "string", "format": "uuid"},
        "eventTimestamp": {"type": "string", "format": "date-time"},
        "eventName": {**TEXT, "description": "Required for track."},
        "userId": TEXT,
        "anonymousId": TEXT,
        "deviceId": TEXT,
        "sessionId": TEXT,
        "fromId": {**TEXT, "description": "Required for alias, as toId is."},
        "toId": TEXT,
        "fromType": TEXT,
        "toType": TEXT,
        "identityType": {"type": "string", "enum": list(rules.IDENTITY_TYPES)},
        "surface": {"type": "string", "enum": list(rules.SURFACES)},
        "consentLevel": {"type": "string", "enum": list(rules.CONSENT_LEVELS)},
        "test": {"type": "boolean"},
        "properties": {"type": "object"},
        "traits": {"type": "object"},
        "context": {
            "type": "object",
            "required": ["library", "libraryVersion"],
            "properties": {"library": TEXT, "libraryVersion": TEXT, "pageUrl": {"type": "string", "maxLength": 2048}},
        },
    },
}
ACCEPTED: dict[str, Any] = {
    "type": "object",
    "required": ["success", "accepted", "rejected", "rejections"],
    "properties": {
        "success": {"type": "boolean"},
        "accepted": {"type": "integer"},
        "rejected": {"type": "integer"},
        "rejections": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "messageId": {"type": "string", "nullable": True},
                    "errors": {"type": "array", "items": VIOLATION},
                },
            },
        },
    },
}
ERRORS: dict[Any, Any] = {(status, "application/json"): ENVELOPE for status in (400, 401, 405, 413, 429, 500, 503)}


def _key(name: str, form: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, required=True, description=f"A key, {form}")


def _query(name: str, required: bool = True) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.QUERY, required=required)


PUBLISHABLE = _key("x-immutable-publishable-key", "pk_imapik-… or pk_imapik-test-…")
SECRET = _key("x-immutable-api-key", "sk_imapik-… or sk_imapik-test-…")

messages = extend_schema(
    tags=TAG,
    summary="Send 1 to 100 events",
    description="Each message is judged on its own: check `rejected`. Repeating a messageId is safe.",
    parameters=[PUBLISHABLE],
    request={
        "application/json": {
            "type": "object",
            "required": ["messages"],
            "properties": {"messages": {"type": "array", "minItems": 1, "maxItems": 100, "items": MESSAGE}},
        }
    },
    responses={(200, "application/json"): ACCEPTED, **ERRORS},
    examples=[
        OpenApiExample(
            "A purchase",
            request_only=True,
            value={
                "messages": [
                    {
                        "type": "track",
                        "messageId": "550e8400-e29b-41d4-a716-446655440000",
                        "eventTimestamp": "2026-04-08T12:00:00Z",
                        "eventName": "purchase",
                        "userId": "user-123",
                        "surface": "web",
                        "properties": {"currency": "USD", "value": 9.99, "itemId": "sword_01"},
                        "context": {"library": "my-studio-backend", "libraryVersion": "1.0.0"},
                    }
                ]
            },
        )
    ],
)
read_consent = extend_schema(
    tags=TAG,
    summary="Read a recorded consent decision",
    parameters=[PUBLISHABLE, _query("anonymousId")],
    responses={
        (200, "application/json"): {
            "type": "object",
            "required": ["status"],
            "properties": {"status": {"type": "string", "enum": list(rules.CONSENT_LEVELS)}},
        },
        **ERRORS,
    },
)
record_consent = extend_schema(
    tags=TAG,
    summary="Record a consent decision",
    parameters=[PUBLISHABLE],
    request={
        "application/json": {
            "type": "object",
            "required": ["anonymousId", "status", "source"],
            "properties": {
                "anonymousId": TEXT,
                "status": {"type": "string", "enum": ["none", "anonymous", "full"]},
                "source": {"type": "string", "maxLength": 128},
            },
        }
    },
    responses={204: None, **ERRORS},
)
erase = extend_schema(
    tags=TAG,
    summary="Erase a player",
    description="Exactly one of the two ids. Every linked id is erased too, within minutes.",
    parameters=[SECRET, _query("userId", required=False), _query("anonymousId", required=False)],
    responses={202: None, **ERRORS},
)
