"""A client of the Immutable dialect: the messages it builds and the calls it makes."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.test import Client

from audience.digest import queue
from audience.games.keys import NewKey

MESSAGES = "/v1/audience/messages"
CONSENT = "/v1/audience/tracking-consent"
DATA = "/v1/audience/data"
LIBRARY = {"library": "my-studio-backend", "libraryVersion": "1.0.0"}

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": (
        "content-type, content-encoding, x-immutable-publishable-key, x-immutable-api-key"
    ),
    "Access-Control-Expose-Headers": "Retry-After, X-Request-ID",
    "Access-Control-Max-Age": "86400",
}

# Message ids sort in the order of creation, in which a batch is stored.
_number = itertools.count(1)

# As a value in `message(...)`: the field is omitted.
ABSENT: Any = object()


def ago(**amount: float) -> str:
    """Return a past time in the clients' format."""
    return (datetime.now(UTC) - timedelta(**amount)).isoformat().replace("+00:00", "Z")


def message(**changes: Any) -> dict[str, Any]:
    """Return a valid track message with fields changed, added or omitted (ABSENT)."""
    fields = {
        "type": "track",
        "messageId": f"{next(_number):08x}{str(uuid.uuid4())[8:]}",
        "eventTimestamp": ago(minutes=1),
        "eventName": "sign_in",
        "userId": "user-123",
        "context": dict(LIBRARY),
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ABSENT}


def page(anonymous_id: str, url: str = "https://mygame.com/", **changes: Any) -> dict[str, Any]:
    fields = {"type": "page", "eventName": ABSENT, "userId": ABSENT, "anonymousId": anonymous_id}
    return message(**{**fields, "context": {**LIBRARY, "pageUrl": url}, **changes})


def click(anonymous_id: str, ttclid: str = "T1", **changes: Any) -> dict[str, Any]:
    """Return a page event of the landing page of a TikTok ad."""
    return page(anonymous_id, f"https://mygame.com/?ttclid={ttclid}", **changes)


def identify(user_id: Any, anonymous_id: Any = ABSENT, **changes: Any) -> dict[str, Any]:
    return message(
        **{"type": "identify", "eventName": ABSENT, "userId": user_id, "anonymousId": anonymous_id, **changes}
    )


def alias(from_id: str, to_id: str, **changes: Any) -> dict[str, Any]:
    return message(
        **{"type": "alias", "eventName": ABSENT, "userId": ABSENT, "fromId": from_id, "toId": to_id, **changes}
    )


def purchase(user_id: Any, **changes: Any) -> dict[str, Any]:
    return message(
        **{"userId": user_id, "eventName": "purchase", "properties": {"currency": "USD", "value": 9.99}, **changes}
    )


def launch(user_id: Any, **changes: Any) -> dict[str, Any]:
    return message(**{"userId": user_id, "eventName": "game_launch", **changes})


def send(key: NewKey, *messages: Any, **headers: str) -> HttpResponse:
    """POST one batch."""
    headers = {"x-immutable-publishable-key": key.value, **headers}
    return Client().post(MESSAGES, {"messages": list(messages)}, "application/json", headers=headers)


def post(key: NewKey, body: bytes, **headers: str) -> HttpResponse:
    """POST a raw body."""
    headers = {"x-immutable-publishable-key": key.value, **headers}
    return Client().post(MESSAGES, body, "application/json", headers=headers)


def digest(key: NewKey, *messages: Any) -> None:
    """Send one valid batch and digest it."""
    answer = send(key, *messages)
    assert answer.json() == {"success": True, "accepted": len(messages), "rejected": 0, "rejections": []}
    queue.drain()


def assert_envelope(answer: HttpResponse, status: int, code: str, message: str, details: Any = ()) -> None:
    """The answer is exactly the dialect's error, with CORS headers."""
    body = answer.json()
    trace_id = body.pop("trace_id")
    assert answer.status_code == status
    assert body == {"code": code, "message": message, "link": "/api/docs/", "details": list(details)}
    assert len(trace_id) == 32
    assert set(trace_id) <= set("0123456789abcdef")
    assert_cors(answer)


def assert_cors(answer: HttpResponse, *, allowed: str = CORS["Access-Control-Allow-Headers"]) -> None:
    """The answer has the CORS headers; `allowed` are those of the preflight."""
    expected = {**CORS, "Access-Control-Allow-Headers": allowed}
    assert {name: answer.headers.get(name) for name in CORS} == expected
