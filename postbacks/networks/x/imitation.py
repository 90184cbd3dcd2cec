"""X's `measurement/conversions` v12 as the server behaves: all conversions of a request or none.

What is not known of requests with a pixel access token is a field of Behavior. The sender relies on none of them.
"""

import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from postbacks.networks.interface.body_schema import BodySchema, SchemaProblem
from postbacks.networks.interface.imitation import Accounts, Imitation, ImitationRequest, ImitationResponse

PATH = re.compile(r"/12/measurement/conversions/([^/?]+)")
SCHEMA = BodySchema(Path(__file__).with_name("schema.json"))
ACCOUNT = "18ce0afterc"
ACCOUNTS = Accounts(
    pixel="afc01",
    second_pixel="afc02",
    foreign_pixel="oth09",
    token="xpixel-token-1-sandbox-0123456789abcdef",
    rotated_token="xpixel-token-2-sandbox-0123456789abcdef",
    foreign_token="xpixel-token-of-another-advertiser",
    object_ids={"game_launch": "laun1", "purchase": "purc1"},
)
# The events of every pixel in its Events Manager. The third one is for goals.
EVENTS = frozenset({*ACCOUNTS.object_ids.values(), "sign1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """`checks_token_first`: before the body. `numbers_token_errors`: a wrong token is code 89 of the older envelope.

    `answers_404_to_a_foreign_pixel`: as for an account without access, else 403.
    """

    checks_token_first: bool = True
    numbers_token_errors: bool = False
    answers_404_to_a_foreign_pixel: bool = True


def answer(call: ImitationRequest, *, behavior: Behavior = Behavior()) -> ImitationResponse:
    target = pixel(call.path, None)
    if not target:
        return error(404, "ROUTE_NOT_FOUND", "The requested resource could not be found")
    if call.method != "POST":
        return error(405, "METHOD_NOT_ALLOWED", "This route takes POST")
    refusals = [partial(refuse_token, call, target, behavior), partial(refuse_body, call, target)]
    for refuse in refusals if behavior.checks_token_first else reversed(refusals):
        if refusal := refuse():
            return refusal
    return accept(target, call.json()["conversions"])


def refuse_token(call: ImitationRequest, target: str, behavior: Behavior) -> ImitationResponse | None:
    pixels = call.accounts.get(call.headers.get("x-pixel-token", ""))
    if pixels is None:
        if behavior.numbers_token_errors:
            return ImitationResponse(401, {"errors": [{"code": 89, "message": "Invalid or expired token."}]})
        return error(401, "UNAUTHORIZED_ACCESS", "This request is not properly authenticated")
    if target in pixels:
        return None
    return no_account(target) if behavior.answers_404_to_a_foreign_pixel else forbid(target)


def refuse_body(call: ImitationRequest, target: str) -> ImitationResponse | None:
    """The 400 for its form, else the 404 for an event of another pixel or of none."""
    try:
        body = call.json()
    except ValueError:
        return error(400, "INVALID_PARAMETER", "The body is not JSON")
    if problems := SCHEMA.problems(body):
        return invalid(problems[0])
    for conversion in body["conversions"]:
        event = conversion["event_id"].removeprefix(f"tw-{target}-")
        if event not in EVENTS:
            return unknown_event(conversion["event_id"])
    return None


def invalid(problem: SchemaProblem) -> ImitationResponse:
    """The 400 for one problem, worded as X documents it where it does."""
    names = [str(step) for step in problem.path if isinstance(step, str)]
    name = names[-1] if names else ""
    if name == "identifiers":
        return error(400, "INVALID_PARAMETER", "No user identifier")
    if problem.is_size:
        return error(400, "INVALID_PARAMETER", "A request has 1 to 500 conversions", "conversions")
    if problem.rule in ("required", "then"):
        return error(400, "MISSING_PARAMETER", f"{name} is missing", name)
    if name == "conversion_time":
        return error(400, "INVALID_PARAMETER", "conversion_time is not yyyy-MM-ddTHH:mm:ss.SSSZ", name)
    if name.startswith("hashed_"):
        return error(400, "INVALID_PARAMETER", f"{name} is not a SHA-256 hash", name)
    return error(400, "INVALID_PARAMETER", f"{name or 'body'} is not valid", name)


def unknown_event(event_id: str) -> ImitationResponse:
    errors = [
        {"code": "NOT_FOUND", "message": f"event_id {event_id} is not of this account", "parameter": "event_id"},
        {
            "code": "INVALID_PARAMETER",
            "message": f"event_id {event_id} is no single event tag",
            "parameter": "event_id",
        },
    ]
    return ImitationResponse(404, {"errors": errors, "request": {"params": {}}})


def no_account(target: str) -> ImitationResponse:
    return error(404, "NOT_FOUND", f"User 1 does not have access to account {ACCOUNT} of pixel {target}")


def forbid(target: str) -> ImitationResponse:
    message = f"The client application making this request does not have access to pixel {target}"
    return error(403, "UNAUTHORIZED_CLIENT_APPLICATION", message)


def accept(target: str, conversions: list[dict[str, Any]]) -> ImitationResponse:
    """X counts a conversion id once for each event."""
    keys = [
        (target, conversion["event_id"].removeprefix(f"tw-{target}-"), conversion["conversion_id"])
        for conversion in conversions
        if "conversion_id" in conversion
    ]
    return ImitationResponse(200, processed(len(conversions)), events=tuple(keys))


def processed(count: int) -> dict[str, Any]:
    data = {"conversions_processed": count, "debug_id": "6f1f4d2e-0000-4000-8000-000000000001"}
    return {"request": {"params": {"account_id": ACCOUNT}}, "data": data}


def error(status: int, code: str, message: str, parameter: str = "", **headers: str) -> ImitationResponse:
    body = {"errors": [{"code": code, "message": message, "parameter": parameter}], "request": {"params": {}}}
    return ImitationResponse(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def rate_limited(pixel: str, *, seconds: int = 2) -> ImitationResponse:
    reset = str(int(time.time()) + seconds)
    return error(429, "TOO_MANY_REQUESTS", "Rate limit exceeded", x_account_rate_limit_reset=reset)


def pixel(path: str, body: Any) -> str:
    """The pixel id of a path, '' without one."""
    match = PATH.fullmatch(path.partition("?")[0])
    return match[1] if match else ""


def imitation(behavior: Behavior) -> Imitation:
    return Imitation(
        prefixes=("/12/measurement/",),
        endpoints=("POST /12/measurement/conversions/<pixel>",),
        accounts=ACCOUNTS,
        answer=partial(answer, behavior=behavior),
        pixel=pixel,
        is_test=lambda body: False,
        faults={
            "unauthorized": lambda pixel: error(
                401, "UNAUTHORIZED_ACCESS", "This request is not properly authenticated"
            ),
            "forbidden": forbid,
            "bad_request": lambda pixel: error(400, "INVALID_PARAMETER", "No user identifier"),
            "rate_limited": rate_limited,
            "unavailable": lambda pixel: error(503, "OVER_CAPACITY", "Service unavailable; please try again later"),
            "none_processed": lambda pixel: ImitationResponse(200, processed(0)),
            "event_deleted": lambda pixel: unknown_event(f"tw-{pixel}-zzzzz"),
            "expired_token": lambda pixel: ImitationResponse(
                401, {"errors": [{"code": 89, "message": "Invalid or expired token."}]}
            ),
            "rate_limited_a_day": partial(rate_limited, seconds=86_400),
        },
    )


IMITATION = imitation(Behavior())
