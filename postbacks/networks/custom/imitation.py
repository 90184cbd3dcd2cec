"""An imitated partner with a conversions API, and hosts that take any request.

With CUSTOM_API_URL every request comes to /custom/<host>/<path>. partner.example is strict; any other host answers as
servers without a check do, so that ready-made templates can be tried.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from postbacks.networks.interface.body_schema import BodySchema, dotted
from postbacks.networks.interface.imitation import Accounts, Imitation, ImitationRequest, ImitationResponse

PREFIX = "/custom/"
PATH = f"{PREFIX}partner.example/conversions"
SCHEMA = BodySchema(Path(__file__).with_name("schema.json"))
BODY = """{
  "account": "{postback}",
  "event": "{event}",
  "click_id": "{click_id}",
  "event_id": "{event_id}",
  "time": {timestamp},
  "value": {value},
  "currency": "{currency}",
  "order_id": "{order_id}",
  "player": {"id": "{user_id}", "email": "{email_sha256}", "ip": "{ip}"},
  "test": "{test}"
}"""
TOKEN = "custom-sandbox-secret-1"
ACCOUNTS = Accounts(
    pixel="partner-1",
    second_pixel="partner-2",
    foreign_pixel="partner-9",
    token=TOKEN,
    rotated_token="custom-sandbox-secret-2",
    foreign_token="custom-sandbox-secret-of-another",
    credential={
        "method": "POST",
        "url": "https://partner.example/conversions",
        "body_format": "json",
        "body": BODY,
        "headers": "Authorization: Bearer {secret}",
        "token": TOKEN,
        "click_parameters": "irclickid",
        "success_statuses": "2xx",
    },
)


def answer(call: ImitationRequest) -> ImitationResponse:
    if call.path.partition("?")[0] != PATH:
        return reply(200, "ok")
    if call.method != "POST":
        return reply(405, "Use POST")
    accounts = call.accounts.get(call.headers.get("authorization", "").removeprefix("Bearer "))
    if accounts is None:
        return reply(401, "Unknown token")
    try:
        body = call.json()
    except ValueError:
        return reply(400, "Not JSON")
    if problems := SCHEMA.problems(body):
        return reply(422, f"Invalid value for {dotted(problems[0].path) or 'body'}")
    if body["account"] not in accounts:
        return forbid(body["account"])
    event = (body["account"], body["event"], body["event_id"])
    return ImitationResponse(200, {"status": "ok", "message": "Recorded"}, events=(event,))


def forbid(account: str) -> ImitationResponse:
    return reply(403, f"No access to account {account}")


def reply(status: int, message: str, headers: Mapping[str, str] | None = None) -> ImitationResponse:
    state = "ok" if status < 300 else "error"
    return ImitationResponse(status, {"status": state, "message": message}, headers or {})


def account(path: str, body: Any) -> str:
    return str(body.get("account", "")) if isinstance(body, dict) else ""


def is_test(body: Any) -> bool:
    return isinstance(body, dict) and bool(body.get("test"))


IMITATION = Imitation(
    prefixes=(PREFIX,),
    endpoints=(f"POST {PATH}", f"ANY {PREFIX}<host>/<path> of another host"),
    accounts=ACCOUNTS,
    answer=answer,
    pixel=account,
    is_test=is_test,
    faults={
        "unauthorized": lambda account: reply(401, "Unknown token"),
        "forbidden": forbid,
        "bad_request": lambda account: reply(400, "Unknown click ID"),
        "rate_limited": lambda account: reply(429, "Too many requests", {"Retry-After": "2"}),
        "unavailable": lambda account: reply(503, "Try again later"),
        # Partners that answer 200 to everything, with the error in the body.
        "refused_as_200": lambda account: replace(reply(400, "Unknown click ID"), status=200),
        "page_as_200": lambda account: ImitationResponse(200, "<html><title>Maintenance</title></html>"),
        "redirect": lambda account: reply(302, "Moved", {"Location": "https://elsewhere.example/"}),
    },
)
