"""Reddit's `conversion_events` v3 as the server behaves: strict decoding, and all events of a request or none."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from postbacks.networks.interface.body_schema import BodySchema, SchemaProblem, dotted
from postbacks.networks.interface.imitation import Accounts, Imitation, ImitationRequest, ImitationResponse

PATH = re.compile(r"/api/v3/pixels/([^/?]+)/conversion_events")
AGE_LIMIT_MS = 168 * 60 * 60 * 1000
# User agents of HTTP libraries, which Reddit throttles, as it does a request without one.
LIBRARY_AGENT = re.compile(
    r"$|python-|urllib|aiohttp|httpx|curl|wget|go-http|java|okhttp|apache-http|node|axios|undici|got |ruby|faraday",
    re.IGNORECASE,
)
SCHEMA = BodySchema(Path(__file__).with_name("schema.json"))


def conversion_token(name: str) -> str:
    """A JWT's three parts; Reddit's have 700 characters or more, and a truncated one must not work."""
    header = base64_part(json.dumps({"alg": "RS256", "kid": "SHA256:sandbox", "typ": "JWT"}).encode())
    claims = {"sub": "user", "aid": name, "scp": "adsconversions", "note": "sandbox " * 30}
    signature = base64_part(b"".join(hashlib.sha256(f"{name} {n}".encode()).digest() for n in range(8)))
    return f"{header}.{base64_part(json.dumps(claims).encode())}.{signature}"


def base64_part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


ACCOUNTS = Accounts(
    pixel="a2_sandbox01",
    second_pixel="a2_sandbox02",
    foreign_pixel="a2_othergame01",
    token=conversion_token("token 1"),
    rotated_token=conversion_token("token 2"),
    foreign_token=conversion_token("token of another advertiser"),
)


def answer(call: ImitationRequest) -> ImitationResponse:
    """Checks in Reddit's order: user agent, token, pixel, then every event of the body."""
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


def forbid(target: str) -> ImitationResponse:
    return error(403, f"You're not authorized to post conversions to Pixel ID {target}.")


def refusal(body: Any, now: float) -> ImitationResponse | None:
    """The 400 for `body`, if any: for unknown keys first (the decoder), then missing ones, then values."""
    problems = SCHEMA.problems(body)
    for problem in problems:
        if problem.rule == "additionalProperties":
            return error(400, f'JSON error "unknown field" on field "{problem.path[-1]}"')
    if any(len(problem.path) <= 2 for problem in problems):
        return error(400, "Bad Request")
    for problem in problems:
        if problem.rule == "required":
            return error(400, f"missing {problem.path[-1]}")
    problems = problems or too_old(body["data"]["events"], now)
    return invalid(problems) if problems else None


def too_old(events: list[dict[str, Any]], now: float) -> list[SchemaProblem]:
    return [
        SchemaProblem(("data", "events", index, "event_at"), "minimum", AGE_LIMIT_MS, event["event_at"])
        for index, event in enumerate(events)
        if now * 1000 - event["event_at"] >= AGE_LIMIT_MS
    ]


def invalid(problems: list[SchemaProblem]) -> ImitationResponse:
    events = {problem.path[2] for problem in problems}
    message = f"There were {len(events)} invalid conversion events. None were processed."
    return error(400, message, fields=[field(problem) for problem in problems])


def field(problem: SchemaProblem) -> dict[str, str]:
    """An entry of `fields`, worded as in logged answers."""
    path = tuple("UUID" if step == "uuid" else step for step in problem.path[3:])
    inner_path, name = dotted(path), path[-1] if path else "event"
    if problem.rule == "minimum" and name == "event_at":  # seconds are below the schema's minimum, and 50 years old
        reason = f"{name} timestamp must be less than 168h0m0s old"
    elif name == "UUID":
        reason = "invalid UUID: UUID must be RFC-4122 compliant"
    else:
        reason = f"invalid {name}: {str(problem.value)[:100]}"
    full_path = ".".join(filter(None, (f"$.data.events[{problem.path[2]}]", inner_path)))
    return {"field": full_path, "message": f"{inner_path or name}: {reason}"}


def accept(target: str, events: list[dict[str, Any]]) -> ImitationResponse:
    keys = [
        (target, *sorted(event["type"].values()), event["action_source"], conversion)
        for event in events
        if (conversion := event.get("metadata", {}).get("conversion_id"))
    ]
    message = f"Successfully processed {len(events)} conversion events."
    return ImitationResponse(200, {"data": {"message": message}}, events=tuple(keys))


def error(
    status: int, message: str, *, fields: list[dict[str, str]] | None = None, **headers: str
) -> ImitationResponse:
    body: dict[str, Any] = {"code": status, "message": message}
    if fields:
        body["fields"] = fields
    return ImitationResponse(
        status, {"error": body}, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def pixel(path: str, body: Any) -> str:
    """The pixel id of a path, '' without one."""
    match = PATH.fullmatch(path.partition("?")[0])
    return match[1] if match else ""


def is_test(body: Any) -> bool:
    """Whether the request went to Event Testing."""
    data = body.get("data") if isinstance(body, dict) else None
    return isinstance(data, dict) and bool(data.get("test_id"))


INVALID_EVENT = {
    "field": "$.data.events[0].action_source",
    "message": "action_source: invalid action_source: website",
}
FAULTS = {
    "unauthorized": lambda pixel: error(401, "UNAUTHORIZED"),
    "forbidden": forbid,
    "bad_request": lambda pixel: error(
        400, "There were 1 invalid conversion events. None were processed.", fields=[INVALID_EVENT]
    ),
    "rate_limited": lambda pixel: error(429, "Too many requests/events within timeframe.", Retry_After="1"),
    "unavailable": lambda pixel: error(
        503, "The service is currently unavailable. No conversion events were processed."
    ),
    # Seen by RudderStack: HTTP 200, and the error in the body.
    "refused_as_200": lambda pixel: replace(
        error(400, "There were 1 invalid conversion events. None were processed."), status=200
    ),
    "rate_limited_a_day": lambda pixel: error(429, "Too many requests/events within timeframe.", Retry_After="86400"),
}
IMITATION = Imitation(
    prefixes=("/api/v3/",),
    endpoints=("POST /api/v3/pixels/<pixel>/conversion_events",),
    accounts=ACCOUNTS,
    answer=answer,
    pixel=pixel,
    is_test=is_test,
    faults=FAULTS,
)
