"""The message shape of RudderStack, Segment and MetaRouter as OpenAPI, with the products' own samples."""

from typing import Any

from audience.intake.dialects import openapi as api
from audience.intake.dialects import segment
from audience.intake.dialects.segment_keys import MOST_MEMBERS

KEYS = ("writeKey", "writeKeyInQuery")
MAPPING = api.FREE
ID: api.Schema = {
    "type": ["string", "number", "object"],
    "minLength": 1,
    "maxLength": segment.LONGEST_ID,
    "pattern": api.NOT_BLANK,
    "description": "Text; numbers and objects are kept as their JSON text.",
}
ID_OR_NULL: api.Schema = {"anyOf": [api.ref("SegmentId"), {"type": "null"}]}
MOMENT: api.Schema = {
    "type": ["string", "number", "null"],
    "description": "ISO 8601 or RFC 2822, UTC where it names no offset; or a Unix time in seconds or milliseconds.",
}
TIMESTAMP: api.Schema = {
    **MOMENT,
    "description": f"When it happened. {MOMENT['description']} Where `sentAt` is ahead of the receipt, the difference "
    "is taken off; with a key of another dialect than RudderStack's also where it is behind. A time after the receipt, "
    "before 2000 or unreadable becomes the time of receipt.",
}
CONTEXT = api.said(
    "Kept as sent. `page.url` and `campaign` feed attribution; `active: false` is no sign of activity.",
    {
        "type": ["object", "null"],
        "properties": {
            "active": {"type": "boolean"},
            **dict.fromkeys(("app", "campaign", "device", "library", "location", "network", "os"), MAPPING),
            **dict.fromkeys(("page", "referrer", "screen", "traits"), MAPPING),
            **{name: {"type": "string"} for name in ("ip", "locale", "timezone", "userAgent", "groupId")},
        },
    },
)
INTEGRATIONS: api.Schema = {
    "type": ["object", "null"],
    "description": 'Destinations on and off: `{"All": false}`, `{"TikTok Ads": false}`, `{"Reddit Ads": false}`.',
}
COMMON: dict[str, api.Schema] = {
    "userId": ID_OR_NULL,
    "anonymousId": ID_OR_NULL,
    "messageId": {"type": ["string", "null"], "description": "What a repeated message is told by; else one of ours."},
    "timestamp": TIMESTAMP,
    "originalTimestamp": MOMENT,
    "sentAt": MOMENT,
    "context": api.ref("SegmentContext"),
    "integrations": api.ref("SegmentIntegrations"),
    "writeKey": {"type": "string", "description": "Instead of HTTP Basic."},
}
TEXT = api.words(segment.LONGEST_NAME)
NAME = api.words(segment.LONGEST_NAME, blank=False)
OWN: dict[str, dict[str, api.Schema]] = {
    "identify": {"traits": MAPPING},
    "track": {"event": NAME, "eventName": NAME, "properties": MAPPING, "traits": MAPPING},
    "page": {"name": TEXT, "properties": MAPPING},
    "screen": {"name": TEXT, "properties": MAPPING},
    "group": {"groupId": api.ref("SegmentId"), "traits": MAPPING},
    "alias": {"previousId": api.ref("SegmentId")},
    segment.MERGE: {
        "mergeProperties": {"type": "array", "minItems": 1, "items": api.thing("type", "value", type=NAME, value=NAME)}
    },
}
NEEDED = {"group": ["groupId"], "alias": ["previousId"], segment.MERGE: ["mergeProperties"]}


def _message(kind: str) -> api.Schema:
    rules = [api.either("userId", "anonymousId", of=api.ref("SegmentId"))]
    if kind == "track":
        rules.append(api.either("event", "eventName", of=NAME))
    return {**api.thing(*NEEDED.get(kind, []), **COMMON, **OWN[kind]), "allOf": rules}


def _name(kind: str) -> str:
    return f"Segment{kind.title()}"


def _member(kind: str) -> api.Schema:
    return {"allOf": [api.ref(_name(kind)), api.thing("type", type={"const": kind})]}


SCHEMAS: dict[str, api.Schema] = {
    "SegmentId": ID,
    "SegmentContext": CONTEXT,
    "SegmentIntegrations": INTEGRATIONS,
    **{_name(kind): _message(kind) for kind in segment.TYPES},
    "SegmentBatch": api.thing(
        "batch",
        batch={
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_MEMBERS,
            "items": {"anyOf": [_member(kind) for kind in segment.TYPES]},
        },
        **{
            name: api.said("For members that say none of their own.", COMMON[name])
            for name in ("timestamp", "sentAt", "context", "integrations", "writeKey")
        },
    ),
}


def body(kind: str, samples: dict[str, Any]) -> api.Schema:
    return api.content(api.JSON, api.ref(_name(kind)), samples)


def batch_body(sample: dict[str, Any]) -> api.Schema:
    return api.content(api.JSON, api.ref("SegmentBatch"), {"Several messages": sample})


# RudderStack's documents.
_library = {"ip": "14.5.67.21", "library": {"name": "http"}}
_traits = {"traits": {"trait1": "new-val"}, **_library}
_player = {"userId": "identified user id", "anonymousId": "anon-id-new"}
_first, _later = {"timestamp": "2020-02-02T00:23:09.544Z"}, {"timestamp": "2020-01-21T00:21:34.208Z"}
_company = {"name": "Company", "industry": "Industry", "employees": 123}
_merged = [{"type": "email", "value": "alex@example.com"}, {"type": "mobile", "value": "+1-202-555-0146"}]
_bought: dict[str, Any] = {"event": "Product Purchased new", "properties": {"name": "Shirt", "revenue": 4.99}}
SAMPLES: dict[str, dict[str, Any]] = {
    "identify": {**_player, "context": _traits, **_first},
    "track": {**_player, **_bought, "context": _library, **_first},
    "page": {
        **_player,
        "name": "Page View",
        "properties": {"title": "Home", "path": "/"},
        "context": _library,
        **_first,
    },
    "screen": {**_player, "name": "Screen View", "properties": {"prop1": "5"}, "context": _library, **_first},
    "group": {"userId": "user123", "groupId": "group1", "traits": _company, "context": _traits, **_later},
    "alias": {"userId": "user123", "previousId": "previd1", "context": _traits, **_later},
    segment.MERGE: {"userId": "1hKOmRA4GRlm", "mergeProperties": _merged},
}
BATCH: dict[str, Any] = {
    "batch": [{**sample, "type": kind} for kind, sample in SAMPLES.items() if kind != segment.MERGE]
}

# MetaRouter's documents.
_dent = {"userId": "1234qwerty"}
_marvin = "10 Questions with Marvin, the clinically depressed robot"
_file = {"fileTitle": "Life, the Universe, and Everything", "fileSize": "42kb", "fileType": "PDF"}
_arthur = {"name": "Arthur Dent", "email": "earthling1@hitchhikersguide.com", "hasTowel": True}
_2015 = {"timestamp": "2015-11-10T00:45:23.412Z"}
SHORT_SAMPLES: dict[str, dict[str, Any]] = {
    "identify": {**_dent, "traits": _arthur, **_2015, "type": "identify"},
    "track": {**_dent, "event": "Added File", "properties": _file, **_2015, "type": "track"},
    "page": {**_dent, "name": _marvin, "properties": {"referrer": "http://reddit.com/r/AMA"}, "type": "page"},
    "screen": {**_dent, "name": "Inbox", "type": "screen"},
    "group": {
        **_dent,
        "groupId": "5678dvorak",
        "traits": {"name": "The Hitchhikers", "relativePosition": "[39.1000 N, 84.5167 W]"},
        "type": "group",
    },
    "alias": {"previousId": "anonymous_id", "userId": "assigned_id_or_email", **_2015, "type": "alias"},
}
_cart = "https://www.example.com/mycart/home"
_member_sample = {
    "anonymousId": "cf09e649-fd0b-46b6-9fc1-53ab9cd05c47",
    "sentAt": "2020-03-02T18:29:53.661Z",
    "timestamp": "2020-03-02T18:29:27.333Z",
    "type": "track",
    "event": "example 1 event",
}
SHORT_BATCH: dict[str, Any] = {
    "batch": [
        {**_member_sample, "messageId": "317b11a8-8cd3-40ad-b3fb-622835c42cfd"},
        {**_member_sample, "messageId": "317b11a8-8cd3-40ad-b3fb-123d417b11a8"},
    ],
    "context": {"page": {"path": "/mycart/home", "title": "Example - Shopping Cart", "url": _cart}},
    "integrations": {"All": False, "Mixpanel": True},
}
