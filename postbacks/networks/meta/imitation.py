"""Meta's `events` as the server behaves: error codes under HTTP 400 mostly, and all events of a request or none.

What no source proves is a fault: `unreadable` (the token may send events, but not read the dataset), `too_old` (the age
is judged before the token).
"""

import hashlib
import re
import secrets
from pathlib import Path
from typing import Any

from postbacks.networks.interface.body_schema import BodySchema, SchemaProblem, dotted
from postbacks.networks.interface.imitation import Accounts, Imitation, ImitationRequest, ImitationResponse

PATH = re.compile(r"/v\d+\.\d/(\d+)(/events)?")
MAX_AGE_SECONDS = 7 * 24 * 60 * 60
STORE_MAX_AGE_SECONDS = 62 * 24 * 60 * 60
MAX_AHEAD_SECONDS = 10 * 60  # Meta publishes none
SCHEMA = BodySchema(Path(__file__).with_name("schema.json"))
# Sub-codes of an invalid event.
OLD, FUTURE = 2804003, 2804004
NO_VALUE, NO_CURRENCY, NO_ITEM_ID = 2804009, 2804023, 2804008
NO_KEY, OTHER = 2804050, 2804019
TITLES = {
    OLD: "Event Timestamp Too Old",
    FUTURE: "Event Timestamp In The Future",
    NO_VALUE: "Missing Value for Purchase Event",
    NO_CURRENCY: "Missing currency",
    NO_KEY: "Insufficient customer information",
    NO_ITEM_ID: "Missing content ID",
    OTHER: "Invalid parameter value",
}


def access_token(name: str) -> str:
    """Letters and digits that begin with EAA, as Events Manager shows a token."""
    digits = b"".join(hashlib.sha256(f"afterclick sandbox {name} {part}".encode()).digest() for part in range(3))
    return f"EAA{digits.hex()[:180]}ZDZD"


ACCOUNTS = Accounts(
    pixel="102030405060701",
    second_pixel="102030405060702",
    foreign_pixel="908070605040302",
    token=access_token("token 1"),
    rotated_token=access_token("token 2"),
    foreign_token=access_token("token of another business"),
)


def answer(call: ImitationRequest) -> ImitationResponse:
    """Checks in the order of the Graph API: path, token, dataset, then every event of the body."""
    match = PATH.fullmatch(call.path.partition("?")[0])
    if match is None:
        return error(404, "Unknown path components", code=2500)
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return error(400, "An access token is required to request this resource.", code=104)
    if token.strip() not in call.accounts:
        return refuse_token()
    if match[1] not in call.accounts[token.strip()]:
        return forbid(match[1], call.method.lower())
    if call.method == "GET" and not match[2]:
        return ImitationResponse(200, {"id": match[1], "name": "Afterclick sandbox"})
    if call.method != "POST" or not match[2]:
        return error(405, "Unsupported method", code=100)
    try:
        body = call.json()
    except ValueError:
        return error(400, "Invalid parameter: the body is not JSON", code=100)
    return refusal(body, call.now) or accept(match[1], body["data"])


def refusal(body: Any, now: float) -> ImitationResponse | None:
    """The 400 for the first problem of any event."""
    if problems := SCHEMA.problems(body):
        return invalid(subcode_of(problems[0]), dotted(problems[0].path) or "data")
    for index, event in enumerate(body["data"]):
        limit = STORE_MAX_AGE_SECONDS if event["action_source"] == "physical_store" else MAX_AGE_SECONDS
        if now - event["event_time"] > limit:
            return invalid(OLD, f"data.{index}.event_time")
        if event["event_time"] - now > MAX_AHEAD_SECONDS:
            return invalid(FUTURE, f"data.{index}.event_time")
    return None


def subcode_of(problem: SchemaProblem) -> int:
    name = problem.path[-1] if problem.path else ""
    if problem.rule == "then":
        return {"custom_data": NO_VALUE, "value": NO_VALUE, "currency": NO_CURRENCY}.get(str(name), OTHER)
    if name == "user_data" and problem.rule == "anyOf":
        return NO_KEY
    return NO_ITEM_ID if problem.rule == "required" and name == "id" else OTHER


def accept(dataset: str, events: list[dict[str, Any]]) -> ImitationResponse:
    keys = [(dataset, event["event_name"], event["event_id"]) for event in events if event.get("event_id")]
    body = {"events_received": len(events), "messages": [], "fbtrace_id": trace_id()}
    return ImitationResponse(200, body, events=tuple(keys))


def forbid(dataset: str, method: str = "post") -> ImitationResponse:
    reason = "does not exist, cannot be loaded due to missing permissions, or does not support this operation"
    message = f"Unsupported {method} request. Object with ID '{dataset}' {reason}"
    return error(400, message, code=100, subcode=33, kind="GraphMethodException")


def refuse_token() -> ImitationResponse:
    return error(401, "Invalid OAuth access token - Cannot parse access token", code=190)


def invalid(subcode: int, field: str) -> ImitationResponse:
    return error(
        400,
        "Invalid parameter",
        code=100,
        subcode=subcode,
        is_transient=False,
        error_user_title=TITLES[subcode],
        error_data={"blame_field_specs": [field.split(".")]},
    )


def error(
    status: int, message: str, *, code: int, subcode: int | None = None, kind: str = "OAuthException", **details: Any
) -> ImitationResponse:
    sub = {} if subcode is None else {"error_subcode": subcode}
    fields = {"message": message, "type": kind, "code": code, **sub, **details, "fbtrace_id": trace_id()}
    return ImitationResponse(status, {"error": fields})


def trace_id() -> str:
    return f"A{secrets.token_urlsafe(16)}"


def dataset_of(path: str, body: Any) -> str:
    """The dataset id of a path, '' without one."""
    match = PATH.fullmatch(path.partition("?")[0])
    return match[1] if match else ""


def is_test(body: Any) -> bool:
    """Whether the request is shown on Test Events."""
    return isinstance(body, dict) and bool(body.get("test_event_code"))


FAULTS = {
    "unauthorized": lambda dataset: refuse_token(),
    "forbidden": forbid,
    "bad_request": lambda dataset: invalid(OTHER, "data.0.event_name"),
    "rate_limited": lambda dataset: error(400, "User request limit reached", code=17),
    "unavailable": lambda dataset: error(500, "An unknown error occurred", code=1),
    "unreadable": lambda dataset: forbid(dataset, "get"),
    "too_old": lambda dataset: invalid(OLD, "data.0.event_time"),
    "token_as_500": lambda dataset: error(500, "The access token could not be decrypted", code=190),
    "no_permission": lambda dataset: error(403, "(#200) Provide valid app ID", code=200),
    "blocked": lambda dataset: error(400, "Temporarily blocked for policies violations", code=368),
    "not_ready": lambda dataset: error(400, "(#21009) The data set upload is temporarily not ready.", code=21009),
}
IMITATION = Imitation(
    prefixes=("/v25.0/",),
    endpoints=("POST /v25.0/<dataset>/events", "GET /v25.0/<dataset>?fields=id,name"),
    accounts=ACCOUNTS,
    answer=answer,
    pixel=dataset_of,
    is_test=is_test,
    faults=FAULTS,
)
