"""X's answers: the codes of its errors decide before the HTTP status.

A conversion counts only if a 2xx states no error and at least one processed conversion. Errors are named
(`{"code": "NOT_FOUND", "message", "parameter"}`) or, in the older envelope, numbered (`{"code": 89, "message"}`).
"""

from typing import Any

from postbacks.networks.interface.answers import (
    decode_json,
    plain_message,
    reset_after,
    retry_after,
    shorten,
    unanswered_outcome,
)
from postbacks.networks.interface.call import Access, Outcome, Response, Verdict

TOKEN_CODES = frozenset({"UNAUTHORIZED_ACCESS", "32", "89", "215"})
# An unknown Event ID is NOT_FOUND too, as is an account to which the token gives no access.
PIXEL_CODES = frozenset(
    {
        *("UNAUTHORIZED_CLIENT_APPLICATION", "USER_NOT_FOUND", "ACCOUNT_NOT_FOUND", "FORBIDDEN", "453"),
        *("NOT_FOUND", "ROUTE_NOT_FOUND", "WEB_EVENT_TAG_NOT_FOUND"),
    }
)
# A wrong value of these is one of the settings, not of the event.
SETTINGS = frozenset({"event_id", "pixel_id"})
LIMIT_CODES = frozenset({"TOO_MANY_REQUESTS", "88"})
TRANSIENT_CODES = frozenset(
    {
        *("CANCELLED_REQUEST", "LOCK_ACQUISITION_TIMEOUT", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "OVER_CAPACITY"),
        *("130", "131"),
    }
)
PAYLOAD_CODES = frozenset({"INVALID_PARAMETER", "MISSING_PARAMETER", "INVALID"})
RESET_HEADERS = ("x-account-rate-limit-reset", "x-rate-limit-reset")
Judgement = tuple[Verdict, Access | None]
# Of several errors the first of these decides.
SERIOUSNESS: list[Judgement] = [
    (Verdict.CREDENTIAL, "token"),
    (Verdict.CREDENTIAL, "pixel"),
    (Verdict.TRANSIENT, None),
    (Verdict.PAYLOAD, None),
]


def classify(response: Response, *, sent: int = 1) -> Outcome:
    """Read `{"data": {"conversions_processed", "debug_id"}}` or `{"errors": [...]}`. `sent`: the conversions of the
    request, of which X processes all or none."""
    if response.status is None:
        return unanswered_outcome(response)
    body = decode_json(response)
    errors = _objects((body or {}).get("errors"))
    codes = [code for error in errors if (code := _code(error))]
    code, (verdict, access) = _judge(response.status, body, errors, sent)
    is_over_limit = response.status == 429 or not LIMIT_CODES.isdisjoint(codes)
    limited = is_over_limit and verdict is Verdict.TRANSIENT
    debug_id = _object((body or {}).get("data")).get("debug_id")
    return Outcome(
        verdict=verdict,
        access=access,
        code=code or None,
        message=_message(response, errors, verdict, sent),
        request_id=debug_id if isinstance(debug_id, str) else None,
        retry_after=_retry_after(response) if limited or response.status == 503 else None,
        limited=limited,
    )


def _judge(status: int, body: dict[str, Any] | None, errors: list[dict[str, Any]], sent: int) -> tuple[str, Judgement]:
    """(code, judgment) of the most serious error; without a known code the first code, and the judgment by status."""
    judged = [(_code(error), judgement) for error in errors if (judgement := _of_error(error))]
    if judged:
        return min(judged, key=lambda pair: SERIOUSNESS.index(pair[1]))
    first = next(filter(None, map(_code, errors)), "")
    if 200 <= status < 300:
        return first, _of_success(body, sent, has_errors=bool((body or {}).get("errors")))
    return first, _by_status(status)


def _by_status(status: int) -> Judgement:
    if status == 401:
        return Verdict.CREDENTIAL, "token"
    if status in (403, 404):
        return Verdict.CREDENTIAL, "pixel"
    if 400 <= status < 500 and status not in (408, 423, 429):
        return Verdict.PAYLOAD, None
    return Verdict.TRANSIENT, None


def _of_error(error: dict[str, Any]) -> Judgement | None:
    code = _code(error)
    if code in TOKEN_CODES:
        return Verdict.CREDENTIAL, "token"
    if code in PIXEL_CODES or (code in PAYLOAD_CODES and str(error.get("parameter")) in SETTINGS):
        return Verdict.CREDENTIAL, "pixel"
    if code in LIMIT_CODES or code in TRANSIENT_CODES:
        return Verdict.TRANSIENT, None
    return (Verdict.PAYLOAD, None) if code in PAYLOAD_CODES else None


def _of_success(body: dict[str, Any] | None, sent: int, *, has_errors: bool) -> Judgement:
    """A 2xx without a known error."""
    processed = _object((body or {}).get("data")).get("conversions_processed")
    if has_errors:
        return Verdict.PAYLOAD, None
    if isinstance(processed, bool) or not isinstance(processed, int):
        # The page of a proxy or a captive portal.
        return Verdict.TRANSIENT, None
    return (Verdict.SUCCESS if processed >= sent else Verdict.PAYLOAD), None


def _message(response: Response, errors: list[dict[str, Any]], verdict: Verdict, sent: int) -> str:
    """The message of each error, with the parameter unless the message names it."""
    parts = []
    for error in errors:
        text, parameter = error.get("message"), error.get("parameter")
        if isinstance(text, str):
            is_named = not isinstance(parameter, str) or parameter in text
            parts.append(text if is_named else f"{text} ({parameter})")
    if parts:
        return shorten(" ".join(dict.fromkeys(parts))) or plain_message(response)
    if verdict is Verdict.SUCCESS:
        return "Processed"
    processed = _object((decode_json(response) or {}).get("data")).get("conversions_processed")
    if isinstance(processed, int) and 0 < processed < sent:
        return f"X processed {processed} of {sent} conversions."
    return "X did not process the conversion." if processed == 0 else plain_message(response)


def _retry_after(response: Response) -> float | None:
    """The reset of the account's limit, which concerns all of its pixels, else that of the endpoint."""
    reset = reset_after(response, *RESET_HEADERS)
    return retry_after(response) if reset is None else reset


def _code(error: dict[str, Any]) -> str:
    code = error.get("code")
    return str(code)[:64] if isinstance(code, str | int) and not isinstance(code, bool) else ""


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
