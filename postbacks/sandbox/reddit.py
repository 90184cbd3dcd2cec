"""Reddit's `conversion_events` v3 as its server behaves: a strict decoder, and all events of a request or none."""

import re
from typing import Any

from postbacks.sandbox.call import Answer, Call
from postbacks.sandbox.checks import Problem, array, choice, dotted, integer, number, shape, string

PATH = re.compile(r"/api/v3/pixels/([^/?]+)/conversion_events")
AGE_LIMIT_MS = 168 * 60 * 60 * 1000
# Default names of HTTP libraries, which Reddit throttles; no name at all is treated the same.
LIBRARY_AGENT = re.compile(
    r"$|python-|urllib|aiohttp|httpx|curl|wget|go-http|java|okhttp|apache-http|node|axios|undici|got |ruby|faraday",
    re.IGNORECASE,
)
TEXT = string()
UUID = r"([0-9]+\.)?[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
SCREEN = integer(least=1, most=32767)

USER = {
    **dict.fromkeys(("email", "phone_number", "external_id", "ip_address", "user_agent", "idfa", "aaid"), TEXT),
    "uuid": string(UUID),
    "screen_dimensions": shape({"width": SCREEN, "height": SCREEN}, strict=True),
    "data_processing_options": shape({"modes": array(choice("LDU")), "country": TEXT, "region": TEXT}, strict=True),
}
PRODUCT = {
    **dict.fromkeys(("id", "name", "category"), TEXT),
    "quantity": integer(least=0),
    "item_price": number(least=0),
}
METADATA = {
    "conversion_id": TEXT,
    "currency": string(r"[A-Z]{3}"),
    "value": number(),
    "item_count": integer(least=0),
    "products": array(shape(PRODUCT, strict=True)),
}
TRACKING_TYPES = (
    *("PAGE_VISIT", "VIEW_CONTENT", "SEARCH", "ADD_TO_CART", "ADD_TO_WISHLIST"),
    *("PURCHASE", "LEAD", "SIGN_UP", "CUSTOM"),
)
TYPE = {"tracking_type": choice(*TRACKING_TYPES), "custom_event_name": string(longest=64)}
EVENT = shape(
    {
        "event_at": integer(),
        "action_source": choice("WEBSITE", "APP", "PHYSICAL_STORE", "OTHER"),
        "event_source_url": TEXT,
        "click_id": TEXT,
        "type": shape(TYPE, required=("tracking_type",), strict=True),
        "user": shape(USER, strict=True),
        "metadata": shape(METADATA, strict=True),
    },
    required=("event_at", "action_source", "type"),
    strict=True,
)
ENVELOPE = shape(
    {
        "data": shape(
            {"test_id": TEXT, "partner": TEXT, "events": array(EVENT, least=1, most=1000)},
            required=("events",),
            strict=True,
        )
    },
    required=("data",),
    strict=True,
)


def answer(call: Call) -> Answer:
    """Judge one call the way Reddit does: agent, token, pixel, then every event of the body."""
    target = pixel(call.path, None)
    if not target:
        return error(404, "Not Found")
    if call.method != "POST":
        return error(405, "Method Not Allowed")
    if LIBRARY_AGENT.match(call.headers.get("user-agent", "")):
        return error(429, "Your user agent was automatically ratelimited.")
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return error(401, "No bearer token provided")
    if token.strip() not in call.accounts:
        return error(401, "UNAUTHORIZED")
    if target not in call.accounts[token.strip()]:
        return forbid(target)
    try:
        body = call.json()
    except ValueError:
        return error(400, "Bad Request")
    return refusal(body, call.now) or accept(target, body["data"]["events"])


def forbid(target: str) -> Answer:
    return error(403, f"You're not authorized to post conversions to Pixel ID {target}.")


def refusal(body: Any, now: float) -> Answer | None:
    """The 400 that `body` deserves, if any: unknown keys first (the decoder), then missing ones, then values."""
    problems = list(ENVELOPE(body, ()))
    for problem in problems:
        if problem.rule == "unknown":
            return error(400, f'JSON error "unknown field" on field "{problem.path[-1]}"')
    if any(len(problem.path) <= 2 for problem in problems):
        return error(400, "Bad Request")
    for problem in problems:
        if problem.rule == "missing":
            return error(400, f"missing {problem.path[-1]}")
    if not problems:
        problems = [found for index, event in enumerate(body["data"]["events"]) for found in late(index, event, now)]
    return invalid(problems) if problems else None


def late(index: int, event: dict[str, Any], now: float) -> list[Problem]:
    """What can be said of an event whose fields are all of the right type."""
    place = ("data", "events", index)
    found = []
    if now * 1000 - event["event_at"] >= AGE_LIMIT_MS:
        found.append(Problem((*place, "event_at"), "age"))
    if event["type"]["tracking_type"] == "CUSTOM" and "custom_event_name" not in event["type"]:
        found.append(Problem((*place, "type", "custom_event_name"), "choice", ""))
    return found


def invalid(problems: list[Problem]) -> Answer:
    events = {problem.path[2] for problem in problems}
    message = f"There were {len(events)} invalid conversion events. None were processed."
    return error(400, message, fields=[field(problem) for problem in problems])


def field(problem: Problem) -> dict[str, str]:
    """One of `fields`, in the words of the logged answers."""
    path = tuple("UUID" if step == "uuid" else step for step in problem.path[3:])
    place, name = dotted(path), path[-1] if path else "event"
    if problem.rule == "age":
        reason = f"{name} timestamp must be less than 168h0m0s old"
    elif name == "UUID":
        reason = "invalid UUID: UUID must be RFC-4122 compliant"
    else:
        reason = f"invalid {name}: {str(problem.value)[:100]}"
    where = ".".join(filter(None, (f"$.data.events[{problem.path[2]}]", place)))
    return {"field": where, "message": f"{place or name}: {reason}"}


def accept(target: str, events: list[dict[str, Any]]) -> Answer:
    keys = [
        (target, *sorted(event["type"].values()), event["action_source"], conversion)
        for event in events
        if (conversion := event.get("metadata", {}).get("conversion_id"))
    ]
    message = f"Successfully processed {len(events)} conversion events."
    return Answer(200, {"data": {"message": message}}, events=tuple(keys))


def error(status: int, message: str, *, fields: list[dict[str, str]] | None = None, **headers: str) -> Answer:
    body: dict[str, Any] = {"code": status, "message": message}
    if fields:
        body["fields"] = fields
    return Answer(status, {"error": body}, headers={name.replace("_", "-"): value for name, value in headers.items()})


def pixel(path: str, body: Any) -> str:
    """The pixel id that a call names, for the answers that repeat it."""
    address = PATH.fullmatch(path.partition("?")[0])
    return address[1] if address else ""


def is_test(body: Any) -> bool:
    """Whether the request went to Event Testing."""
    data = body.get("data") if isinstance(body, dict) else None
    return isinstance(data, dict) and bool(data.get("test_id"))
