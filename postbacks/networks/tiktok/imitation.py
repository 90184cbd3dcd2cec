"""TikTok's `event/track/` as the server behaves: HTTP 200 also for failures, unknown keys accepted, types strict."""

import hashlib
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from postbacks.networks.interface.body_schema import BodySchema, SchemaProblem, dotted
from postbacks.networks.interface.imitation import Accounts, Imitation, ImitationRequest, ImitationResponse

PATH = "/open_api/v1.3/event/track/"
SCHEMA = BodySchema(Path(__file__).with_name("schema.json"))
CALLS_A_SECOND = 1000  # according to several integrations
TYPE_NAMES = {"number": "number", "integer": "integer", "boolean": "boolean", "object": "object", "array": "list"}


def access_token(name: str) -> str:
    """Forty hex digits, as Events Manager shows a token."""
    return hashlib.sha256(f"afterclick sandbox {name}".encode()).hexdigest()[:40]


ACCOUNTS = Accounts(
    pixel="CSANDBOX0AFTERCLICK1",
    second_pixel="CSANDBOX0AFTERCLICK2",
    foreign_pixel="CSANDBOX0OTHERGAME01",
    token=access_token("token 1"),
    rotated_token=access_token("token 2"),
    foreign_token=access_token("token of another advertiser"),
)


def answer(call: ImitationRequest) -> ImitationResponse:
    """Checks in the order of TikTok's gateway: path, token, pixel, then the body."""
    if call.path.partition("?")[0] != PATH:
        return ImitationResponse(404, "404 page not found")
    if call.method != "POST":
        return ImitationResponse(405, "405 method not allowed")
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
    problems = SCHEMA.problems(body)
    # An invalid pixel is answered first, then a foreign one, then any other problem.
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


def forbid(code: str) -> ImitationResponse:
    reason = "You must be an admin or operator of this advertiser account."
    return reply(40001, f"No permission to operate pixel code: {code}. {reason}")


def refuse(problem: SchemaProblem) -> ImitationResponse:
    if problem.path == ("data",) and problem.is_size:
        return reply(40061, "Invalid batch size")
    if problem.rule == "anyOf" and isinstance(problem.value, str | list):
        return reply(40062, "PII not hashed")
    path = problem.path[2:] if problem.path[:1] == ("data",) and len(problem.path) > 2 else problem.path
    expected = TYPE_NAMES.get(problem.expected, "string") if problem.rule == "type" else "string"
    return reply(40002, f"Invalid value for {dotted(path) or 'body'}: not a valid {expected}.")


def reply(code: int, message: str, *, status: int = 200, events: tuple[tuple[str, ...], ...] = ()) -> ImitationResponse:
    moment = f"{datetime.now(UTC):%Y%m%d%H%M%S}"
    request_id = f"{moment}{secrets.token_hex(10).upper()}"
    return ImitationResponse(
        status, {"code": code, "message": message, "request_id": request_id, "data": {}}, events=events
    )


def pixel(path: str, body: Any) -> str:
    """The pixel code of a body, '' without one."""
    return str(body.get("event_source_id", "")) if isinstance(body, dict) else ""


def is_test(body: Any) -> bool:
    """Whether the request went to Test Events."""
    return isinstance(body, dict) and bool(body.get("test_event_code"))


FAULTS = {
    "unauthorized": lambda pixel: reply(40105, "Access token is incorrect or has been revoked."),
    "forbidden": forbid,
    "bad_request": lambda pixel: reply(40002, "Invalid value for event_source_id: not a valid string."),
    "rate_limited": lambda pixel: reply(40100, "Too many requests. Please retry in some time."),
    # TikTok sends 50000 with HTTP 200 too; the sender must retry because of the status alone.
    "unavailable": lambda pixel: reply(50000, "System error", status=503),
    # With one event in the request it is the refused one.
    "refused_as_200": lambda pixel: reply(20001, "Partial success"),
    "rate_limited_a_day": lambda pixel: replace(
        reply(40100, "Too many requests. Please retry in some time.", status=429), headers={"Retry-After": "86400"}
    ),
}
IMITATION = Imitation(
    prefixes=("/open_api/",),
    endpoints=(f"POST {PATH}",),
    accounts=ACCOUNTS,
    answer=answer,
    pixel=pixel,
    is_test=is_test,
    faults=FAULTS,
    quota=CALLS_A_SECOND,
)
