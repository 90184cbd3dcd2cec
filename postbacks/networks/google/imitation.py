"""Google's token endpoint, `events:ingest` and `requestStatus:retrieve` as its servers behave."""

import base64
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from postbacks.networks.google import imitation_answers as answers
from postbacks.networks.google.service_account import AUDIENCE, GRANT_TYPE, LIFETIME_SECONDS, SCOPE
from postbacks.networks.interface.body_schema import BodySchema, SchemaProblem
from postbacks.networks.interface.imitation import Accounts, Imitation, ImitationRequest, ImitationResponse

TOKEN, INGEST, STATUS = "/token", "/v1/events:ingest", "/v1/requestStatus:retrieve"  # noqa: S105  a path
SCHEMA = BodySchema(Path(__file__).with_name("schema.json"))
UNKNOWN_ACTION = "404"  # every other conversion action exists
REASONS = {
    "required": "REQUIRED_FIELD_MISSING",
    "then": "REQUIRED_FIELD_MISSING",
    "anyOf": "NO_IDENTIFIERS_PROVIDED",
    "enum": "INVALID_ENUM_VALUE",
    "maxLength": "FIELD_VALUE_TOO_LONG",
    "minLength": "FIELD_VALUE_TOO_SHORT",
    "minItems": "TOO_FEW_ELEMENTS",
    "maxItems": "TOO_MANY_ELEMENTS",
}


def key_file(name: str) -> str:
    """The service account key of an account that exists in the sandbox only."""
    return (Path(__file__).parent / "accounts" / f"{name}.json").read_text(encoding="utf-8")


ACCOUNTS = Accounts(
    pixel="1234567890",
    second_pixel="1234567891",
    foreign_pixel="9876543210",
    token=key_file("studio"),
    rotated_token=key_file("studio_rotated"),
    foreign_token=key_file("another"),
    object_ids={"game_launch": "987654320", "purchase": "987654321"},
)


def access_token(credential: str) -> str:
    """The token that is issued for a key: always the same, so that no process has to store it."""
    return f"ya29.afterclick-sandbox-{hashlib.sha256(credential.encode()).hexdigest()[:40]}"


def answer(call: ImitationRequest) -> ImitationResponse:
    """Checks in Google's order: path, access token, then the body, then the account."""
    parts = urlsplit(call.path)
    if parts.path == TOKEN and call.method == "POST":
        return issue_token(call)
    handlers = {("POST", INGEST): ingest, ("GET", STATUS): retrieve}
    handler = handlers.get((call.method, parts.path))
    if handler is None:
        return answers.error(404, "NOT_FOUND", "Requested entity was not found.")
    bearer = call.headers.get("authorization", "").removeprefix("Bearer ")
    accounts = next((pixels for key, pixels in call.accounts.items() if access_token(key) == bearer), None)
    return answers.unauthenticated() if accounts is None else handler(call, accounts)


def issue_token(call: ImitationRequest) -> ImitationResponse:
    form = {name: values[-1] for name, values in parse_qs(call.body.decode(errors="replace")).items()}
    if form.get("grant_type") != GRANT_TYPE:
        return ImitationResponse(400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type."})
    try:
        header, claims, signed, signature = read_assertion(form.get("assertion", ""))
    except ValueError:
        return answers.refused_grant("Invalid JWT: it cannot be read.")
    key = next((key for key in call.accounts if json.loads(key)["private_key_id"] == header.get("kid")), None)
    if key is None or not is_signed(json.loads(key), signed, signature):
        return answers.refused_grant("Invalid JWT Signature.")
    lifetime = claims.get("exp", 0) - claims.get("iat", 0)
    if claims.get("aud") != AUDIENCE or claims.get("scope") != SCOPE or not 0 < lifetime <= LIFETIME_SECONDS:
        return answers.refused_grant("Invalid JWT: check the aud, scope, iat and exp claims.")
    return ImitationResponse(
        200, {"access_token": access_token(key), "expires_in": LIFETIME_SECONDS - 1, "token_type": "Bearer"}
    )


def read_assertion(assertion: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, the signed part and the signature. ValueError for any other text."""
    parts = assertion.split(".")
    if len(parts) != 3:
        raise ValueError("not a JWT")
    header, claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts)
    return json.loads(header), json.loads(claims), f"{parts[0]}.{parts[1]}".encode(), signature


def is_signed(key: dict[str, Any], signed: bytes, signature: bytes) -> bool:
    private = load_pem_private_key(key["private_key"].encode(), password=None)
    assert isinstance(private, RSAPrivateKey)
    try:
        private.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def ingest(call: ImitationRequest, accounts: frozenset[str]) -> ImitationResponse:
    try:
        body = call.json()
    except ValueError:
        return answers.error(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    if problems := SCHEMA.problems(body):
        return refuse(problems[0])
    for number, destination in enumerate(body["destinations"]):
        if destination["operatingAccount"]["accountId"] not in accounts:
            return answers.forbid(destination["operatingAccount"]["accountId"])
        if destination["productDestinationId"] == UNKNOWN_ACTION:
            field = f"destinations[{number}].product_destination_id"
            return answers.invalid(field, "Conversion action ID is not valid.", "INVALID_CONVERSION_ACTION_ID")
    if body.get("validateOnly"):
        return ImitationResponse(200, {})
    events = [
        (destination["operatingAccount"]["accountId"], destination["productDestinationId"], event["transactionId"])
        for destination in body["destinations"]
        for event in body["events"]
        if event.get("transactionId")
    ]
    return answers.receipt(events=tuple(events))


def retrieve(call: ImitationRequest, accounts: frozenset[str]) -> ImitationResponse:
    return answers.diagnostics(parse_qs(urlsplit(call.path).query).get("requestId", [""])[0])


def refuse(problem: SchemaProblem) -> ImitationResponse:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.path).lstrip(".")
    reason = REASONS.get(problem.rule, "INVALID_FORMAT")
    # Google names fields of an event with "events." before the list.
    field = f"events.{path}" if path.startswith("events[") else path or "body"
    return answers.invalid(field, "The value is not valid.", reason)


def pixel(path: str, body: Any) -> str:
    """The operating account of the first destination, '' without one."""
    try:
        return str(body["destinations"][0]["operatingAccount"]["accountId"])
    except (KeyError, IndexError, TypeError):
        return ""


def is_test(body: Any) -> bool:
    """Whether the request was only validated."""
    return isinstance(body, dict) and body.get("validateOnly") is True


# The end of a receipt -> what the diagnostics say of it.
RESULTS = (
    *("TOO_RECENT_CLICK", "CLICK_NOT_FOUND", "DUPLICATE_TRANSACTION_ID", "DUPLICATE_GCLID", "DENIED_CONSENT"),
    *("INTERNAL_ERROR", "PROCESSING", "PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER"),
)
FAULTS: dict[str, Callable[[str], ImitationResponse]] = {
    "unauthorized": lambda pixel: answers.unauthenticated(),
    "forbidden": answers.forbid,
    "bad_request": lambda pixel: answers.invalid(
        "events.events[0].event_source", "The field is required.", "REQUIRED_FIELD_MISSING"
    ),
    "rate_limited": lambda pixel: answers.error(
        429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'IngestionService mutate requests'."
    ),
    "unavailable": lambda pixel: answers.error(503, "UNAVAILABLE", "The service is currently unavailable."),
    "api_disabled": answers.api_disabled,
    "key_deleted": lambda pixel: answers.refused_grant("Invalid JWT Signature."),
    "accepted_with_warning": answers.receipt_with_warning,
    **{f"later_{result.lower()}": partial(lambda result, pixel: answers.receipt(result), result) for result in RESULTS},
}
IMITATION = Imitation(
    prefixes=(TOKEN, INGEST, STATUS),
    endpoints=(f"POST {TOKEN}", f"POST {INGEST}", f"GET {STATUS}?requestId=<id>"),
    accounts=ACCOUNTS,
    answer=answer,
    pixel=pixel,
    is_test=is_test,
    faults=FAULTS,
    access_token=access_token,
)
