"""TikTok's `event/track/` as its server behaves: HTTP 200 even for failures, unknown keys tolerated, types strict."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from postbacks.sandbox.call import Answer, Call
from postbacks.sandbox.checks import Path, Problem, array, boolean, choice, dotted, integer, number, shape, string

PATH = "/open_api/v1.3/event/track/"
SHA256_HEX = r"[a-f0-9]{64}"
TEXT = string()
WORDS = {"string": "string", "number": "number", "integer": "integer", "object": "object", "array": "list"}


def hashed(value: Any, path: Path) -> Iterator[Problem]:
    """A SHA-256 in lower-case hex, or a list of them."""
    one = string(SHA256_HEX, rule="hash")
    yield from array(one)(value, path) if isinstance(value, list) else one(value, path)


def texts(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, TEXT)


USER = {
    **dict.fromkeys(("email", "phone", "external_id"), hashed),
    **texts("ttclid", "ttp", "ip", "user_agent", "locale", "first_name", "last_name", "city", "state", "country"),
    **texts("zip_code", "idfa", "idfv", "gaid"),
    "att_status": choice("AUTHORIZED", "DENIED", "NOT_DETERMINED", "RESTRICTED", "NOT_APPLICABLE"),
}
CONTENT = {
    **texts("content_id", "content_name", "content_category", "content_type", "brand"),
    "price": number(),
    "quantity": number(),
}
PROPERTIES = {
    **texts("order_id", "shop_id", "query", "search_string", "description"),
    "value": number(),
    "currency": string(r"[A-Z]{3}"),
    "content_type": choice("product", "product_group"),
    "contents": array(shape(CONTENT)),
    "content_ids": array(TEXT),
    "num_items": number(),
    "predicted_ltv": number(),
    "delivery_category": choice("in_store", "curbside", "home_delivery"),
}
EVENT = shape(
    {
        "event": string(r".+"),
        "event_time": integer(least=10**9, most=10**10 - 1),  # ten digits: milliseconds are refused
        "event_id": TEXT,
        "user": shape(USER),
        "properties": shape(PROPERTIES),
        "page": shape(texts("url", "referrer")),
        **dict.fromkeys(("app", "ad", "device", "lead"), shape({})),
        "limited_data_use": boolean,
    },
    required=("event", "event_time"),
)
ENVELOPE = shape(
    {
        "event_source": choice("web", "app", "offline", "crm"),
        "event_source_id": string(r".+"),
        **texts("partner_name", "test_event_code"),
        "data": array(EVENT, least=1, most=1000),
    },
    required=("event_source", "event_source_id", "data"),
)


def answer(call: Call) -> Answer:
    """Judge one call the way TikTok's gateway does: address, token, pixel, then the body."""
    if call.path.partition("?")[0] != PATH:
        return Answer(404, "404 page not found")
    if call.method != "POST":
        return Answer(405, "405 method not allowed")
    token = call.headers.get("access-token", "").strip()
    if not token:
        return reply(40104, "Access token is empty")
    if token not in call.accounts:
        return reply(40105, "Access token is incorrect or has been revoked.")
    if call.over_quota:
        return reply(40100, "Too many requests. Please retry in some time.")
    try:
        body = call.json()
    except ValueError:
        return reply(40002, "Invalid value for body: not a valid JSON.")
    problems = list(ENVELOPE(body, ()))
    # A pixel that cannot be read comes first, then whose pixel it is, then everything else.
    problems.sort(key=lambda problem: problem.path != () and problem.path[0] != "event_source_id")
    if problems and problems[0].path in ((), ("event_source_id",)):
        return refuse(problems[0])
    code = pixel(call.path, body)
    if code not in call.accounts[token]:
        return forbid(code)
    if problems:
        return refuse(problems[0])
    events = [(code, event["event"], event["event_id"]) for event in body["data"] if event.get("event_id")]
    return reply(0, "OK", events=tuple(events))


def forbid(code: str) -> Answer:
    rights = "You must be an admin or operator of this advertiser account."
    return reply(40001, f"No permission to operate pixel code: {code}. {rights}")


def refuse(problem: Problem) -> Answer:
    if problem.path == ("data",) and problem.rule == "size":
        return reply(40061, "Invalid batch size")
    if problem.rule == "hash":
        return reply(40062, "PII not hashed")
    place = problem.path[2:] if problem.path[:1] == ("data",) and len(problem.path) > 2 else problem.path
    return reply(
        40002, f"Invalid value for {dotted(place) or 'body'}: not a valid {WORDS.get(problem.rule, 'string')}."
    )


def reply(code: int, message: str, *, status: int = 200, events: tuple[tuple[str, ...], ...] = ()) -> Answer:
    moment = f"{datetime.now(UTC):%Y%m%d%H%M%S}"
    request_id = f"{moment}{secrets.token_hex(10).upper()}"
    return Answer(status, {"code": code, "message": message, "request_id": request_id, "data": {}}, events=events)


def pixel(path: str, body: Any) -> str:
    """The pixel code that a call names, for the answers that repeat it."""
    return str(body.get("event_source_id", "")) if isinstance(body, dict) else ""


def is_test(body: Any) -> bool:
    """Whether the request went to Test Events."""
    return isinstance(body, dict) and bool(body.get("test_event_code"))
