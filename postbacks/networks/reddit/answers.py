"""Reddit's answers: the HTTP status decides, except that a 2xx counts as a success only if its body says so.

The body may be v3's envelope, v2's, plain text or HTML. Reddit has answered 200 with an error in it (observed by
RudderStack).
"""

import re
from typing import Any

from postbacks.networks.interface.answers import decode_json, plain_message, retry_after, shorten, unanswered_outcome
from postbacks.networks.interface.call import Access, Outcome, Response, Verdict

REQUEST_ID_HEADERS = ("x-request-id", "x-reddit-request-id")
# A request has one event, so that none was processed if this matches.
NONE_PROCESSED = re.compile(r"\bprocessed 0\b|\bno(ne| conversion events) were processed\b", re.IGNORECASE)


def classify(response: Response) -> Outcome:
    """Read `{"data":{"message"}}` or `{"error":{"code","message","fields"}}`."""
    if response.status is None:
        return unanswered_outcome(response)
    body = decode_json(response)
    message, status = _message(response, body), response.status
    if 200 <= status < 300 and body is not None and _is_refusal(body, message):
        status = _refusal_status(body)
    verdict, access = _verdict(status, body, message)
    return Outcome(
        verdict=verdict,
        code=_code(body),
        message=message,
        request_id=next(
            (response.headers[name][:500] for name in REQUEST_ID_HEADERS if name in response.headers), None
        ),
        retry_after=retry_after(response) if status in (429, 503) else None,
        access=access,
        limited=status == 429,
    )


def _is_refusal(body: dict[str, Any], message: str) -> bool:
    """Whether the body of a 2xx, or its `data`, states that the event was not processed."""
    if NONE_PROCESSED.search(message):
        return True
    return any(
        part.get("error") or part.get("errors") or part.get("invalid_events") or part.get("success") is False
        for part in (body, _object(body.get("data")))
    )


def _refusal_status(body: dict[str, Any]) -> int:
    """The HTTP status that such a body would have had: its error's code or reason, else 400."""
    error = _object(body.get("error"))
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return code
    is_unauthorized = "UNAUTHORIZED" in (error.get("reason"), body.get("error"))
    # v2 gave its type errors the same reason.
    is_type_error = str(error.get("explanation", "")).startswith("JSON error")
    return 401 if is_unauthorized and not is_type_error else 400


def _verdict(status: int, body: dict[str, Any] | None, message: str) -> tuple[Verdict, Access | None]:
    if 200 <= status < 300:
        # Any other body is a proxy's, a maintenance notice or a captive portal, and nothing was accepted.
        return (Verdict.SUCCESS if body is not None and _is_acceptance(body) else Verdict.TRANSIENT), None
    if status == 401:
        return Verdict.CREDENTIAL, "token"
    if status == 403 and message.startswith("JSON error"):
        return Verdict.PAYLOAD, None  # a type error that v2 answered as "UNAUTHORIZED"
    if status == 403:
        return Verdict.CREDENTIAL, "pixel"
    if 400 <= status < 500 and status not in (408, 429):
        return Verdict.PAYLOAD, None
    return Verdict.TRANSIENT, None


def _is_acceptance(body: dict[str, Any]) -> bool:
    """Whether the body is v3's `{"data":{...}}` or v2's `{"message":"Successfully processed 1 conversion events."}`."""
    return isinstance(body.get("data"), dict) or "processed" in str(body.get("message", ""))


def _message(response: Response, body: dict[str, Any] | None) -> str:
    """The message, then the message of each field, in v3's or v2's envelope."""
    if body is None:
        return plain_message(response)
    if isinstance(body.get("error"), str):
        return shorten(body["error"]) or plain_message(response)
    error = _object(body.get("error"))
    parts = [
        *(part for part in (error.get("message"), error.get("explanation")) if isinstance(part, str)),
        *(field["message"] for field in _objects(error.get("fields")) if isinstance(field.get("message"), str)),
    ]
    if not parts:
        parts = [
            part for part in (_object(body.get("data")).get("message"), body.get("message")) if isinstance(part, str)
        ]
        parts += [
            event["error_message"]
            for holder in (body, _object(body.get("data")))
            for event in _objects(holder.get("invalid_events"))
            if isinstance(event.get("error_message"), str)
        ]
    return shorten(" ".join(parts)) or plain_message(response)


def _code(body: dict[str, Any] | None) -> str | None:
    error = _object((body or {}).get("error"))
    raw = error.get("code", error.get("reason"))
    return str(raw)[:64] if isinstance(raw, int | str) and not isinstance(raw, bool) else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
