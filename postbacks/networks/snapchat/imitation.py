"""Snapchat's `/v3/<pixel>/events` and `/events/validate` as the server behaves; Rules has what is not certain of it."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from postbacks.networks.interface.body_schema import BodySchema, SchemaProblem, dotted
from postbacks.networks.interface.imitation import Accounts, Imitation, ImitationRequest, ImitationResponse
from postbacks.networks.snapchat.payload import CURRENCIES

PATH = re.compile(r"/v3/([^/?]+)/events(/validate)?")
TEST_PATH = re.compile(r"/v3/[^/?]+/events/validate")
SCHEMA = BodySchema(Path(__file__).with_name("schema.json"))
CALLS_A_SECOND = 1000  # for tokens that do not expire
MILLISECONDS = 10**12
DAY_SECONDS = 24 * 60 * 60
FUTURE_SECONDS = 5 * 60  # clocks differ
INVALID_CODE = "517"
INVALID_EVENT = "At least one of the events is invalid."
NO_USER_DATA = (
    "Insufficient PII: one of em, ph, madid, or client_ip_address and client_user_agent must be present"  # ours
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What differs between reports about Snap's server, or is inferred. The sender relies on none of it."""

    max_age_days: int = 7  # 37 in Snap's introduction
    refused_status: int = 400  # 200 in some reports
    bad_token_status: int = 401  # 400 in some reports
    foreign_pixel_status: int = 403
    takes_any_currency: bool = False
    deduplicates_by_name: bool = True  # as well as by event id
    takes_rest_of_batch: bool = False  # the valid events of a request with an invalid one


def access_token(name: str) -> str:
    """A JWT's three parts."""
    header = base64_part(json.dumps({"alg": "HS256", "kid": "sandbox", "typ": "JWT"}).encode())
    claims = base64_part(json.dumps({"aud": "sandbox", "sub": name, "note": "sandbox " * 8}).encode())
    return f"{header}.{claims}.{base64_part(hashlib.sha256(name.encode()).digest())}"


def base64_part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


ACCOUNTS = Accounts(
    pixel="5a4c1e2d-8b3f-4c6a-9d7e-0f1a2b3c4d01",
    second_pixel="5a4c1e2d-8b3f-4c6a-9d7e-0f1a2b3c4d02",
    foreign_pixel="9e8d7c6b-5a4f-4e3d-8c2b-1a0f9e8d7c09",
    token=access_token("token 1"),
    rotated_token=access_token("token 2"),
    foreign_token=access_token("token of another organization"),
)


def answer(call: ImitationRequest, *, rules: Rules) -> ImitationResponse:
    """Checks in this order: path, token, quota, pixel, then the body."""
    match = PATH.fullmatch(urlsplit(call.path).path)
    if not match:
        return refuse(404, "Not found")
    if call.method != "POST":
        return refuse(405, "Method not allowed")
    token = parse_qs(urlsplit(call.path).query).get("access_token", [""])[-1]
    if token not in call.accounts:
        reason = "Invalid access token" if token else "Unauthorized: invalid or missing access token"
        return refuse(rules.bad_token_status, reason)
    if call.over_quota:
        return too_fast()
    if match[1] not in call.accounts[token]:
        return forbid(match[1], rules=rules)
    try:
        body = call.json()
    except ValueError:
        return refuse(400, "The body is not valid JSON")
    return judge(match[1], body, rules=rules, now=call.now, is_test=bool(match[2]))


def judge(target: str, body: Any, *, rules: Rules, now: float, is_test: bool) -> ImitationResponse:
    """The answer to a body: all of its events or none, unless the rules say otherwise."""
    problems = SCHEMA.problems(body)
    if any(len(problem.path) < 3 for problem in problems):
        return invalid(problems, rules=rules, is_test=is_test)
    refused = {problem.path[1] for problem in problems}
    for index, event in enumerate(body["data"]):
        if index not in refused:
            problems += problems_of(index, event, rules=rules, now=now, is_test=is_test)
    refused = {problem.path[1] for problem in problems}
    if refused and not (rules.takes_rest_of_batch and len(refused) < len(body["data"])):
        return invalid(problems, rules=rules, is_test=is_test)
    events = [event for index, event in enumerate(body["data"]) if index not in refused]
    return accept(target, events, rules=rules, is_test=is_test)


def problems_of(index: int, event: dict[str, Any], *, rules: Rules, now: float, is_test: bool) -> list[SchemaProblem]:
    """What the schema does not say: the range of times, the currencies, and what only tests need."""
    moment, source = event["event_time"], event["action_source"]
    currency = event.get("custom_data", {}).get("currency")
    path = ("data", index)
    if moment >= MILLISECONDS and source in ("OFFLINE", "physical_store"):
        return [SchemaProblem((*path, "event_time"), "milliseconds", "")]
    seconds = moment / 1000 if moment >= MILLISECONDS else moment
    found = []
    if not now - rules.max_age_days * DAY_SECONDS <= seconds <= now + FUTURE_SECONDS:
        found.append(SchemaProblem((*path, "event_time"), "range", ""))
    if currency is not None and currency not in CURRENCIES and not rules.takes_any_currency:
        found.append(SchemaProblem((*path, "custom_data", "currency"), "enum", "", currency))
    if is_test and "event_source_url" not in event and source in ("WEB", "website"):
        found.append(SchemaProblem((*path, "event_source_url"), "required", ""))
    return found


def invalid(problems: list[SchemaProblem], *, rules: Rules, is_test: bool) -> ImitationResponse:
    """The refusal of a body, in the words of its first problem."""
    first = problems[0]
    if first.rule == "milliseconds":
        message = "Param data['event_time'] is an invalid Unix timestamp."
        return ImitationResponse(400, {"status": "INVALID", "error_msgs": [message]})
    details: list[dict[str, Any]] = [
        {"event": problem.path[1], "errors": {"codes": [INVALID_CODE], "error_msgs": [describe(problem)]}}
        for problem in problems
        if len(problem.path) > 1
    ]
    body: dict[str, Any] = {"status": "INVALID", "reason": reason_of(first)}
    if is_test:
        logs = [{**detail, "status": "INVALID", "warnings": []} for detail in details]
        return ImitationResponse(400, {**body, "test_event": True, "event_logs": logs})
    return ImitationResponse(rules.refused_status, {**body, "errors": details})


def reason_of(problem: SchemaProblem) -> str:
    if problem.path[-1:] == ("user_data",) and problem.rule in ("anyOf", "required"):
        return NO_USER_DATA
    if problem.rule == "then":
        return "Missing value or currency on a PURCHASE event"
    if problem.rule == "range":
        return "event_time is out of range"
    return INVALID_EVENT


def describe(problem: SchemaProblem) -> str:
    name = dotted(problem.path[2:]) or "data"
    if problem.rule in ("required", "then"):
        return f"Missing {name}"
    return f"Invalid value for {name}"


def accept(target: str, events: list[dict[str, Any]], *, rules: Rules, is_test: bool) -> ImitationResponse:
    if is_test:
        return ImitationResponse(200, {"status": "VALID", "test_event": True})
    keys = [
        (target, *([event["event_name"]] if rules.deduplicates_by_name else []), event["event_id"])
        for event in events
        if "event_id" in event
    ]
    body = {"status": "VALID", "reason": "Events have been processed successfully."}
    return ImitationResponse(200, body, events=tuple(keys))


def forbid(target: str, *, rules: Rules = Rules()) -> ImitationResponse:
    return refuse(rules.foreign_pixel_status, "Unauthorized resources")


def too_fast() -> ImitationResponse:
    return refuse(429, "Rate limit exceeded")


def refuse(status: int, reason: str) -> ImitationResponse:
    return ImitationResponse(status, {"status": "INVALID", "reason": reason})


def pixel(path: str, body: Any) -> str:
    """The pixel id of a path, '' without one."""
    match = PATH.fullmatch(urlsplit(path).path)
    return match[1] if match else ""


FAULTS = {
    "unauthorized": lambda pixel: refuse(401, "Invalid access token"),
    "forbidden": forbid,
    "bad_request": lambda pixel: refuse(400, INVALID_EVENT),
    "rate_limited": lambda pixel: too_fast(),
    "unavailable": lambda pixel: ImitationResponse(503, "upstream connect error"),
    "refused_as_200": lambda pixel: refuse(200, INVALID_EVENT),
    "unauthorized_as_400": lambda pixel: refuse(400, "Invalid access token"),
    "forbidden_as_401": lambda pixel: refuse(401, "Unauthorized resources"),
}


def imitation(rules: Rules = Rules()) -> Imitation:
    return Imitation(
        prefixes=("/v3/",),
        endpoints=(
            "POST /v3/<pixel>/events?access_token=<token>",
            "POST /v3/<pixel>/events/validate?access_token=<token>",
        ),
        accounts=ACCOUNTS,
        answer=partial(answer, rules=rules),
        pixel=pixel,
        is_test=lambda body: False,
        test_path=TEST_PATH,
        faults=FAULTS,
        quota=CALLS_A_SECOND,
    )


IMITATION = imitation()
