"""The Immutable dialect as OpenAPI: both directions, every error shape, the documents' own samples."""

from typing import Any

from audience.intake.dialects import immutable_rules as rules
from audience.intake.dialects import openapi as api

TAG = "Immutable Audience"
TEXT = api.words(rules.DEFAULT_LENGTH)
NEEDED = api.words(rules.DEFAULT_LENGTH, blank=False)
SAY: api.Schema = {"type": "string"}
COUNT: api.Schema = {"type": "integer", "minimum": 0}
MESSAGE_CODES = (
    *("MISSING_REQUIRED_FIELD", "INVALID_FORMAT", "INVALID_VALUE", "INVALID_ENUM"),
    *("UNSUPPORTED_TYPE", "DUPLICATE_MESSAGE_ID"),
    *("EVENT_NOT_ALLOWED", "ORIGIN_NOT_ALLOWED", "ADDRESS_NOT_ALLOWED"),
)
CODES = ("VALIDATION_ERROR", "UNAUTHORISED_REQUEST", "TOO_MANY_REQUESTS_ERROR", "INTERNAL_SERVER_ERROR")
LEVEL = api.one_of_texts(rules.CONSENT_LEVELS)
CONTEXT_TEXTS = {name: api.words(rules.CONTEXT_LENGTHS.get(name, 256)) for name in sorted(rules.CONTEXT_TEXTS)}

MESSAGE: api.Schema = {
    **api.thing(
        *("type", "messageId", "eventTimestamp", "context"),
        type=api.one_of_texts(rules.TYPES),
        messageId=api.said("What a repeated message is told by.", {"type": "string", "format": "uuid"}),
        eventTimestamp=api.said(
            "When it happened, with an offset; up to 30 days ago. Up to 24 hours ahead, it is the time of receipt.",
            {"type": "string", "format": "date-time"},
        ),
        eventName=api.said("Required for track.", TEXT),
        userId=TEXT,
        anonymousId=TEXT,
        deviceId=TEXT,
        sessionId=TEXT,
        fromId=api.said("Required for alias, as toId is; the two differ.", TEXT),
        toId=TEXT,
        fromType=TEXT,
        toType=TEXT,
        identityType=api.one_of_texts(rules.IDENTITY_TYPES),
        surface=api.one_of_texts(rules.SURFACES),
        consentLevel=api.said("Holds for this event; `not_set` counts as none.", LEVEL),
        test={"type": "boolean"},
        properties=api.FREE,
        traits=api.FREE,
        context=api.thing("library", "libraryVersion", library=NEEDED, libraryVersion=NEEDED, **CONTEXT_TEXTS),
    ),
    "allOf": [
        {
            "if": {"properties": {"type": {"const": "alias"}}},
            "then": api.thing("fromId", "toId", fromId=NEEDED, toId=NEEDED),
            "else": api.either("userId", "anonymousId", of=NEEDED),
        },
        {
            "if": {"properties": {"type": {"const": "track"}}},
            "then": api.thing("eventName", eventName=NEEDED),
        },
    ],
}
SCHEMAS: dict[str, api.Schema] = {
    "ImmutableMessage": MESSAGE,
    "ImmutableViolation": api.thing(
        *("field", "code", "message"), field=SAY, code=api.one_of_texts(MESSAGE_CODES), message=SAY
    ),
    "ImmutableError": api.thing(
        *("code", "message", "link", "trace_id", "details"),
        code=api.one_of_texts(CODES),
        message=SAY,
        link=SAY,
        trace_id={"type": "string", "pattern": "^[0-9a-f]{32}$"},
        details={"type": "array", "items": api.ref("ImmutableViolation")},
    ),
    "ImmutableReceipt": api.thing(
        *("success", "accepted", "rejected", "rejections"),
        success={"const": True},
        accepted=COUNT,
        rejected=COUNT,
        rejections=api.said(
            "One entry for each distinct messageId that was refused.",
            {
                "type": "array",
                "items": api.thing(
                    *("messageId", "errors"),
                    messageId={"type": ["string", "null"]},
                    errors={"type": "array", "minItems": 1, "items": api.ref("ImmutableViolation")},
                ),
            },
        ),
    ),
}


def _envelope(code: str, message: str) -> dict[str, Any]:
    trace = "3f2a9c0d5b1e4f6788aabbccddeeff00"
    return {"code": code, "message": message, "link": "/api/docs/", "trace_id": trace, "details": []}


def _error(description: str, code: str, message: str, *headers: str) -> api.Schema:
    body = api.content(api.JSON, api.ref("ImmutableError"), {message: _envelope(code, message)})
    return api.answer(description, body, *headers)


_bad, _fault = "VALIDATION_ERROR", "INTERNAL_SERVER_ERROR"
ERRORS: api.Answers = {
    400: _error("The whole request is refused: malformed, or no key.", _bad, "messages must hold 1 to 100 messages."),
    401: _error(
        "The key is unknown, revoked, past its end or of the other kind; on consent and erasure also one that is not "
        "allowed to be used from there, with the code in `details`.",
        "UNAUTHORISED_REQUEST",
        "The key is not recognised.",
    ),
    405: _error("Another method.", _bad, "PATCH is not served here.", "Allow"),
    413: _error("Over 2 MB unpacked; a consent decision over 64 KB.", _bad, "The body is larger than 2097152 bytes."),
    429: _error(
        "The key calls more often than its limit allows.",
        "TOO_MANY_REQUESTS_ERROR",
        "This key may call again in 1 s.",
        *api.LATER,
    ),
    500: _error("Our fault; send it again.", _fault, "Something broke on our side; it is logged."),
    503: _error("A passing fault; send it again.", _fault, "Storage is away for a moment.", *api.AGAIN),
}
RESPONSES = api.shared("Immutable", ERRORS)
REFUSALS = api.pointing("Immutable", ERRORS)
BODILESS = {status: REFUSALS[status] for status in REFUSALS if status != 413}

_library = {"library": "my-studio-backend", "libraryVersion": "1.0.0"}
_sword = {"currency": "USD", "value": 9.99, "itemId": "sword_01"}
_shop = {**_library, "pageUrl": "https://mygame.com/shop", "pageTitle": "Shop"}


def _sample(kind: str, number: int, **fields: Any) -> dict[str, Any]:
    message_id = f"550e8400-e29b-41d4-a716-{446655440000 + number}"
    start = {"type": kind, "messageId": message_id, "eventTimestamp": "2026-04-08T12:00:00Z"}
    return {"messages": [{**start, **fields, "context": fields.get("context", _library)}]}


_player = {"name": "Player One", "email": "player@example.com"}
_steam = {"fromId": "76561198000000001", "fromType": "steam", "toId": "user-123", "toType": "passport"}
SAMPLES = {
    "A purchase": _sample("track", 0, eventName="purchase", userId="user-123", surface="web", properties=_sword),
    "Who a player is": _sample("identify", 4, userId="user-123", identityType="passport", traits=_player),
    "Two ids of one player": _sample("alias", 5, **_steam),
    "A page": _sample("page", 6, userId="user-123", properties={"section": "shop"}, context=_shop),
    "A screen": _sample("screen", 7, userId="user-123", properties={"screenName": "main-menu"}),
}
_late = {"field": "eventName", "code": "MISSING_REQUIRED_FIELD", "message": "eventName is required."}
RECEIPTS = {
    "All taken": {"success": True, "accepted": 2, "rejected": 0, "rejections": []},
    "One refused": {
        "success": True,
        "accepted": 1,
        "rejected": 1,
        "rejections": [{"messageId": "550e8400-e29b-41d4-a716-446655440001", "errors": [_late]}],
    },
}
BATCH = api.thing("messages", messages={"type": "array", "minItems": 1, "maxItems": 100, "items": {}})
BATCH["properties"]["messages"]["items"] = api.ref("ImmutableMessage")
DECISION = api.thing(
    *("anonymousId", "status", "source"),
    anonymousId=NEEDED,
    status=api.one_of_texts(("none", "anonymous", "full")),
    source=api.words(128, blank=False),
)
COOKIE_BANNER = {"anonymousId": "anon-device-abc123", "status": "full", "source": "cookie-banner-v1"}
LEVELS = {"Decided": {"status": "full"}, "Never decided": {"status": "not_set"}}
SENDING = ("publishableKey", "serverKey")

OPERATIONS: api.Operations = {
    ("POST", "/v1/audience/messages"): api.operation(
        "sendMessages",
        TAG,
        "Send 1 to 100 messages",
        description="Each message is judged on its own: check `rejected`. Repeating a messageId is safe. What the key "
        "is not allowed to send, or not from there, is rejected with a code of its own. A server key may stand in "
        "either header.",
        keys=SENDING,
        body=api.content(api.JSON, BATCH, SAMPLES),
        answers={
            200: api.answer("Judged.", api.content(api.JSON, api.ref("ImmutableReceipt"), RECEIPTS)),
            **REFUSALS,
        },
    ),
    ("GET", "/v1/audience/tracking-consent"): api.operation(
        "readConsent",
        TAG,
        "Read a recorded consent decision",
        keys=SENDING,
        parameters=[api.query("anonymousId", "Whose.", required=True, schema=NEEDED)],
        answers={200: api.answer("It.", api.content(api.JSON, api.thing("status", status=LEVEL), LEVELS)), **BODILESS},
    ),
    ("PUT", "/v1/audience/tracking-consent"): api.operation(
        "recordConsent",
        TAG,
        "Record a consent decision",
        description="The last one counts.",
        keys=SENDING,
        body=api.content(api.JSON, DECISION, {"Agreed in a banner": COOKIE_BANNER}),
        answers={204: api.answer("On disk."), **REFUSALS},
    ),
    ("DELETE", "/v1/audience/data"): api.operation(
        "eraseData",
        TAG,
        "Erase a player",
        description="Name exactly one of the two ids. Everything of every linked id is erased too, within minutes.",
        keys=("secretKey",),
        parameters=[
            api.query("userId", "This or anonymousId.", schema=NEEDED),
            api.query("anonymousId", "This or userId.", schema=NEEDED),
        ],
        answers={202: api.answer("It will be erased."), **BODILESS},
    ),
}
