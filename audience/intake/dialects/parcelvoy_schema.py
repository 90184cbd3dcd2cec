"""The Parcelvoy client dialect as OpenAPI."""

from typing import Any

from audience.intake.dialects import openapi as api
from audience.intake.dialects.parcelvoy_rules import LONGEST

TAG = "Parcelvoy"
TEXT = {"type": ["string", "null"], "maxLength": LONGEST}
NEEDED = api.words(LONGEST, blank=False)
MOMENT = api.said(
    "When it happened: ISO 8601, RFC 2822, or a Unix time in seconds or milliseconds. Absent, unreadable, before 2000 "
    "or after the receipt, it is the time of receipt.",
    {"type": ["string", "number", "null"]},
)
DATA = api.said("Traits; an explicit null clears one.", api.FREE)
ZONE = api.said("An IANA name; an explicit null clears it.", {**TEXT, "examples": ["America/Chicago"]})
PROFILE = {"email": TEXT, "phone": TEXT, "timezone": ZONE, "locale": TEXT, "data": DATA}
IDS = {"anonymous_id": TEXT, "external_id": TEXT}
OURS = {
    "message_id": api.said("What a repeated event is told by; any text, best a UUID.", {"type": ["string", "null"]}),
    "created_at": MOMENT,
}
ONE_ID = api.either("anonymous_id", "external_id", of=NEEDED)
TOKEN = api.said("The push token; one seen under a new device moves to it.", {"type": ["string", "null"]})
DEVICE_WORDS = ("device_id", "os", "model", "app_build", "app_version")

SCHEMAS: dict[str, api.Schema] = {
    "ParcelvoyAlias": api.thing("anonymous_id", "external_id", anonymous_id=NEEDED, external_id=NEEDED, **OURS),
    "ParcelvoyIdentify": {**api.thing(**IDS, **PROFILE), "additionalProperties": False, **ONE_ID},
    "ParcelvoyDevice": {
        **api.thing(*DEVICE_WORDS, **IDS, **dict.fromkeys(DEVICE_WORDS, NEEDED), token=TOKEN, **OURS),
        **ONE_ID,
    },
    "ParcelvoyEvents": {
        "type": "array",
        "minItems": 1,
        "items": {
            **api.thing(
                **IDS,
                name=api.said("Without one it is stored as an unnamed event.", TEXT),
                data=api.FREE,
                properties=api.said("What the Android client says for `data`.", api.FREE),
                user=api.said("Who the player is: an identify before the event.", api.thing(**PROFILE)),
                **OURS,
            ),
            **ONE_ID,
        },
    },
    "ParcelvoyError": api.thing("status", "error", status={"const": "error"}, error={"type": "string"}),
    "ParcelvoyAuthorizationError": api.thing(
        "status", "error", "code", status={"const": "error"}, error={"type": "string"}, code={"const": 1000}
    ),
}


def _errors(description: str, *texts: str, headers: tuple[str, ...] = ()) -> api.Schema:
    shown = {text: {"status": "error", "error": text} for text in texts}
    return api.answer(description, api.content(api.JSON, api.ref("ParcelvoyError"), shown), *headers)


BROKEN = "An error occurred with this request."
UNAUTHORIZED = {"Authorization error.": {"status": "error", "error": "Authorization error.", "code": 1000}}
ANSWERS: api.Answers = {
    204: api.answer("On disk."),
    400: _errors("Malformed JSON, or a body over 1 MiB.", BROKEN),
    401: api.answer(
        "No key, a malformed one, or one that is unknown or revoked.",
        api.content(api.JSON, api.ref("ParcelvoyAuthorizationError"), UNAUTHORIZED),
    ),
    405: _errors("Another method.", "Method not allowed.", headers=("Allow",)),
    422: _errors(
        "The first thing wrong; nothing of the request was stored.",
        "Must have required property 'external_id'",
        "The value of `0/name` must be a string.",
        "The value of `` must be a array.",
        "Must NOT have fewer than 1 items",
        "Must NOT have additional properties",
        "The timezone value must be in the IANA format.",
    ),
    429: _errors("The key calls more often than its limit allows.", "Too many requests.", headers=api.LATER),
    500: _errors("Our fault; send it again.", BROKEN),
    503: _errors(
        "A passing fault; send it again.", "Storage is away for a moment; send this again.", headers=api.AGAIN
    ),
}
RESPONSES = api.shared("Parcelvoy", ANSWERS)

SAMPLES: dict[str, Any] = {
    "alias": {"anonymous_id": "ANONYMOUS_ID", "external_id": "EXTERNAL_ID"},
    "identify": {
        "external_id": "EXTERNAL_ID",
        "email": "test@test.com",
        "timezone": "America/Chicago",
        "locale": "en",
        "data": {"first_name": "John", "last_name": "Smith", "has_completed_onboarding": True},
    },
    "devices": {
        "external_id": "EXTERNAL_ID",
        "device_id": "5e356e66-03aa-4926-a322-d7f5c89049c1",
        "token": "45d2e0c7bbb649679723a96d92d0fa305e356e6603aa4926a322d7f5c89",
        "os": "iOS 16.3",
        "model": "iPhone15,2",
        "app_build": "465",
        "app_version": "1.2.4",
    },
    "events": [
        {
            "external_id": "EXTERNAL_ID",
            "name": "Product Purchased",
            "data": {"product_id": 12345, "price": 49.99, "quantity": 4},
        }
    ],
}
SHAPES = {
    "alias": ("Alias", "Join a player's earlier id"),
    "identify": ("Identify", "Say who a player is"),
    "devices": ("Device", "Register a device and its push token"),
    "events": ("Events", "Say what players did"),
}


def _operation(word: str, name: str) -> api.Schema:
    shape, summary = SHAPES[word]
    return api.operation(
        name,
        TAG,
        summary,
        keys=("bearerKey",),
        body=api.content(api.JSON, api.ref(f"Parcelvoy{shape}"), {word: SAMPLES[word]}),
        answers=api.pointing("Parcelvoy", ANSWERS),
    )


OPERATIONS: api.Operations = {
    **{("POST", f"/api/client/{word}"): _operation(word, f"parcelvoy{word.title()}") for word in SHAPES},
    # The documents print these two both ways.
    **{("POST", f"/{word}"): _operation(word, f"parcelvoy{word.title()}AtRoot") for word in ("devices", "events")},
}
