"""Snapchat's answers. What the body says is read first, then the HTTP status: INVALID may come with 200, and a refused
token with 400.
"""

import re
from collections.abc import Iterator
from typing import Any

from postbacks.networks.interface.answers import (
    body_text,
    decode_json,
    plain_message,
    retry_after,
    shorten,
    unanswered_outcome,
)
from postbacks.networks.interface.call import Access, Outcome, Response, Verdict

VALID = "VALID"
UNKNOWN_PIXEL = re.compile(r"\bunauthorized resources?\b", re.IGNORECASE)
TOKEN = re.compile(r"\baccess[ _]token\b", re.IGNORECASE)
TOO_FAST = re.compile(r"\brate limit|\btoo many requests\b", re.IGNORECASE)


def classify(response: Response) -> Outcome:
    """Read `{"status","reason","errors":[{"errors":{"codes","error_msgs"}}]}`; of `/validate`, `event_logs`."""
    if response.status is None:
        return unanswered_outcome(response)
    body = decode_json(response)
    reason = " ".join(_reasons(body or {}))
    verdict, access = _verdict(response, body, reason)
    limited = verdict is Verdict.TRANSIENT and (response.status == 429 or TOO_FAST.search(reason) is not None)
    errors = list(_errors(body or {}))
    return Outcome(
        verdict=verdict,
        code=", ".join(dict.fromkeys(code for error in errors for code in _texts(error.get("codes"))))[:64] or None,
        message=_message(response, reason, errors),
        retry_after=retry_after(response) if limited or response.status == 503 else None,
        access=access,
        limited=limited,
    )


def _verdict(response: Response, body: dict[str, Any] | None, reason: str) -> tuple[Verdict, Access | None]:
    status, stated = response.status or 0, (body or {}).get("status")
    if stated == VALID:
        return (Verdict.SUCCESS if 200 <= status < 300 else Verdict.TRANSIENT), None
    if UNKNOWN_PIXEL.search(reason):
        return Verdict.CREDENTIAL, "pixel"
    if TOKEN.search(reason):
        return Verdict.CREDENTIAL, "token"
    if TOO_FAST.search(reason) or _is_page(response):
        return Verdict.TRANSIENT, None
    return _verdict_of_status(status, is_refusal=stated is not None)


def _verdict_of_status(status: int, *, is_refusal: bool) -> tuple[Verdict, Access | None]:
    """`is_refusal`: the body states another status than VALID."""
    if status == 401:
        return Verdict.CREDENTIAL, "token"
    if status in (403, 404):
        return Verdict.CREDENTIAL, "pixel"
    if 400 <= status < 500 and status not in (408, 429):
        return Verdict.PAYLOAD, None
    # A 2xx that states nothing is of a proxy or a captive portal: nothing was accepted.
    return (Verdict.PAYLOAD if is_refusal and 200 <= status < 300 else Verdict.TRANSIENT), None


def _is_page(response: Response) -> bool:
    """Whether the body is HTML, of a gateway: it proves nothing about the event or the token."""
    return body_text(response) == "<"


def _reasons(body: dict[str, Any]) -> Iterator[str]:
    """The texts that concern the request as a whole."""
    if isinstance(body.get("reason"), str):
        yield body["reason"]
    yield from _texts(body.get("error_msgs"))


def _errors(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`{"codes", "error_msgs"}` of each event."""
    for name in ("errors", "event_logs"):
        for entry in body[name] if isinstance(body.get(name), list) else []:
            errors = entry.get("errors") if isinstance(entry, dict) else None
            if isinstance(errors, dict):
                yield errors


def _message(response: Response, reason: str, errors: list[dict[str, Any]]) -> str:
    parts = [reason, *(text for error in errors for text in _texts(error.get("error_msgs")))]
    text = shorten(" ".join(dict.fromkeys(filter(None, parts))))
    if text:
        return text
    body = decode_json(response)
    return shorten(str(body["status"])) if body and body.get("status") else plain_message(response)


def _texts(raw: Any) -> list[str]:
    return [str(text) for text in raw if isinstance(text, str | int)] if isinstance(raw, list) else []
