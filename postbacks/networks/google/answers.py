"""Google's answers to `events:ingest`: the code in the body is read before the HTTP status."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from postbacks.networks.interface.answers import decode_json, plain_message, retry_after, shorten, unanswered_outcome
from postbacks.networks.interface.call import Access, Outcome, Response, Verdict

# "First after 30 minutes" (its guide to diagnostics).
CONFIRM_AFTER = timedelta(minutes=30)
RECEIPT = frozenset({"requestId", "fieldWarnings"})
NO_RECEIPT = Outcome(Verdict.TRANSIENT, None, "Google Ads did not return a receipt for the event.")
# google.rpc.Code; the others that end in an error of Google are transient.
PERMANENT: dict[str, tuple[Verdict, Access | None]] = {
    "UNAUTHENTICATED": (Verdict.CREDENTIAL, "token"),
    "PERMISSION_DENIED": (Verdict.CREDENTIAL, "pixel"),
    "NOT_FOUND": (Verdict.CREDENTIAL, "pixel"),
    "INVALID_ARGUMENT": (Verdict.PAYLOAD, None),
    "FAILED_PRECONDITION": (Verdict.PAYLOAD, None),
    "OUT_OF_RANGE": (Verdict.PAYLOAD, None),
}
RATE_LIMITED = "RESOURCE_EXHAUSTED"
# Reasons of INVALID_ARGUMENT that no event causes: the account, its conversion action or its agreements.
SETTINGS = re.compile(
    r"INVALID_CONVERSION_ACTION_(ID|TYPE)|INVALID_DESTINATION|DESTINATION_ACCOUNT_\w+|NOT_ALLOWLISTED"
    r"|EVENT_SOURCE_AND_DESTINATION_MISMATCH|TERMS_AND_CONDITIONS_NOT_SIGNED"
    r"|EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED|OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """The parts of `{"error": {...}}`; `reasons` are the codes of its details, `fields` [(field, description), ...]."""

    status: str
    message: str
    reasons: list[str]
    fields: list[tuple[str, str]]
    request_id: str
    activation_url: str


def classify(response: Response) -> Outcome:
    if response.status is None:
        return unanswered_outcome(response)
    body = decode_json(response)
    failure = _failure(body)
    if failure is not None:
        return _failed(response, failure)
    if body is not None and 200 <= response.status < 300 and (_text(body.get("requestId")) or set(body) <= RECEIPT):
        return _accepted(body)
    # The page of a proxy or a captive portal, or an answer of another API.
    limited = response.status == 429
    wait = retry_after(response) if response.status in (429, 503) else None
    return Outcome(Verdict.TRANSIENT, None, plain_message(response), retry_after=wait, limited=limited)


def classify_event(response: Response) -> Outcome:
    """As `classify`, of an event that is recorded: without a receipt nothing was."""
    outcome = classify(response)
    return NO_RECEIPT if outcome.verdict is Verdict.SUCCESS and not outcome.request_id else outcome


def _accepted(body: Mapping[str, Any]) -> Outcome:
    """A receipt: what became of the event is known later. A request that is only validated has no request ID."""
    warnings = [item for item in _list(body.get("fieldWarnings")) if isinstance(item, dict)]
    texts = [f"{item.get('field', 'a field')}: {item.get('description') or item.get('reason')}" for item in warnings]
    request_id = _text(body.get("requestId"))
    return Outcome(
        Verdict.SUCCESS,
        (_text(warnings[0].get("reason")) or "WARNING") if warnings else None,
        shorten(f"Received without {'; '.join(texts)}" if texts else "Received"),
        request_id=request_id or None,
        confirm_after=CONFIRM_AFTER if request_id else None,
    )


def _failed(response: Response, failure: Failure) -> Outcome:
    verdict, access = PERMANENT.get(failure.status, (Verdict.TRANSIENT, None))
    if verdict is Verdict.PAYLOAD and _is_of_settings(failure):
        verdict, access = Verdict.CREDENTIAL, "pixel"
    limited = failure.status == RATE_LIMITED or (verdict is Verdict.TRANSIENT and response.status == 429)
    return Outcome(
        verdict,
        next(iter(failure.reasons), failure.status),
        _message(failure) or plain_message(response),
        request_id=failure.request_id or None,
        retry_after=retry_after(response) if limited or response.status == 503 else None,
        access=access,
        limited=limited,
    )


def _is_of_settings(failure: Failure) -> bool:
    return any(SETTINGS.fullmatch(reason) for reason in failure.reasons) or any(
        field.startswith("destinations") for field, _ in failure.fields
    )


def _message(failure: Failure) -> str:
    """The descriptions of the fields, which say more than the message of the whole, and where to enable the API."""
    described = [f"{text} ({field})" for field, text in failure.fields]
    link = f" Enable it at {failure.activation_url}" if failure.activation_url else ""
    return shorten(("; ".join(described) or failure.message) + link)


def _failure(body: Mapping[str, Any] | None) -> Failure | None:
    """None for an answer that is not Google's error."""
    error = body.get("error") if body else None
    if not isinstance(error, dict) or not _text(error.get("status")):
        return None
    details = [item for item in _list(error.get("details")) if isinstance(item, dict)]
    violations = [item for part in details for item in _list(part.get("fieldViolations")) if isinstance(item, dict)]
    status = str(error["status"])
    reasons = [reason for item in (*violations, *details) if (reason := _text(item.get("reason")))]
    return Failure(
        status=status,
        message=_text(error.get("message")),
        # The general reason of the whole repeats its status.
        reasons=[reason for reason in reasons if reason != status],
        fields=[
            (_text(each.get("field")), _text(each.get("description") or each.get("reason"))) for each in violations
        ],
        request_id=next(_texts(details, "requestId"), ""),
        activation_url=next(_texts(details, "activationUrl"), ""),
    )


def _texts(details: list[dict[str, Any]], name: str) -> Iterator[str]:
    """The values of a detail's member, also of its metadata."""
    for part in details:
        metadata = part.get("metadata")
        for holder in (part, metadata if isinstance(metadata, dict) else {}):
            if value := _text(holder.get(name)):
                yield value


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _text(raw: Any) -> str:
    return raw if isinstance(raw, str) else ""
