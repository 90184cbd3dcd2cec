"""Meta's answers. An error has a code, which is read before the HTTP status: a bad token may come with 400, 401 or 500.

Texts of errors are translated, so that only numbers decide.
"""

import json
from typing import Any

from postbacks.networks.interface.answers import decode_json, plain_message, retry_after, shorten, unanswered_outcome
from postbacks.networks.interface.call import Access, Outcome, Response, Verdict

TOKEN = frozenset({102, 190})
# Permissions, an object of another business, terms that were not accepted.
PIXEL = frozenset({3, 10, 803, 2655, *range(200, 300)})
INVALID = 100
NO_OBJECT = frozenset({33, 34, 38})  # sub-codes of INVALID: there is no such object, or the token has no right to it
THROTTLED = frozenset({4, 17, 32, 613, *range(80000, 80015)})
BLOCKED = 368  # for violating a policy; Meta's documentation says to wait and retry
BLOCKED_SECONDS = 60 * 60.0
TEMPORARY = frozenset({1, 2, 341, 5000, 21009})
TOO_OLD = "100/2804003"
READABLE = "The access token may read this dataset."
VERSION_WARNING = "x-ad-api-version-warning"


def classify(response: Response) -> Outcome:
    """Read `{"events_received":1,"messages":[],"fbtrace_id"}` or `{"error":{"code","error_subcode","message",...}}`."""
    if response.status is None:
        return unanswered_outcome(response)
    body = decode_json(response) or {}
    error = _object(body.get("error"))
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    verdict, access = _verdict(response.status, body, code, subcode)
    is_transient = verdict is Verdict.TRANSIENT
    return Outcome(
        verdict=verdict,
        code=None if code is None else f"{code}/{subcode}" if subcode is not None else str(code),
        message=_message(response, body, error),
        request_id=_text(body.get("fbtrace_id")) or _text(error.get("fbtrace_id")),
        retry_after=_wait(response, code) if is_transient else None,
        access=access,
        limited=is_transient and (response.status == 429 or code in THROTTLED or code == BLOCKED),
    )


def classify_check(response: Response) -> Outcome:
    """As `classify`, also of the answer to a read of the dataset, `{"id":"...","name":"..."}`."""
    body = decode_json(response) or {}
    is_read = response.status == 200 and _text(body.get("id")) and not body.get("error")
    return Outcome(Verdict.SUCCESS, None, READABLE) if is_read else classify(response)


def _verdict(status: int, body: dict[str, Any], code: int | None, subcode: int | None) -> tuple[Verdict, Access | None]:
    error = _object(body.get("error"))
    # `is_transient: false` comes with temporary errors too (observed), and means nothing.
    if error.get("is_transient") is True or code in THROTTLED or code in TEMPORARY or code == BLOCKED:
        return Verdict.TRANSIENT, None
    if code in TOKEN:
        return Verdict.CREDENTIAL, "token"
    if code in PIXEL or (code == INVALID and subcode in NO_OBJECT):
        return Verdict.CREDENTIAL, "pixel"
    if code is not None:
        is_refusal = code in (INVALID, 105) or (400 <= status < 500 and status not in (408, 429))
        return (Verdict.PAYLOAD if is_refusal else Verdict.TRANSIENT), None
    count = body.get("events_received")
    if 200 <= status < 300 and isinstance(count, int) and not isinstance(count, bool) and not body.get("error"):
        # A request has one event, which is then the one that was not received.
        return (Verdict.SUCCESS if count > 0 else Verdict.PAYLOAD), None
    # Pages of proxies, also with 4xx, prove nothing about the event: Meta's errors have a code.
    return Verdict.TRANSIENT, None


def _wait(response: Response, code: int | None) -> float | None:
    seconds = retry_after(response) if response.status in (429, 503) or code in THROTTLED or code == BLOCKED else None
    return seconds or BLOCKED_SECONDS if code == BLOCKED else seconds


def _message(response: Response, body: dict[str, Any], error: dict[str, Any]) -> str:
    """The texts of the error, and the field that it names; of a success its warnings. Then the version's warning."""
    texts = [_text(error.get(name)) for name in ("message", "error_user_title", "error_user_msg")]
    texts += [f"Field: {field}" for field in _blamed(error.get("error_data"))]
    if not error and "events_received" in body:
        messages = body.get("messages")
        texts += [_text(message) for message in messages] if isinstance(messages, list) else []
        texts = texts if any(texts) else [f"Events received: {body['events_received']}"]
    if warning := response.headers.get(VERSION_WARNING):
        texts.append(f"API version: {warning}")
    unique = dict.fromkeys(text.strip().rstrip(".") for text in texts if text)
    return shorten(". ".join(unique)) or plain_message(response)


def _blamed(data: Any) -> list[str]:
    """The fields of `{"blame_field_specs": [["data", 0, "event_time"]]}`, an object or the same as text."""
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            return []
    specs = _object(data).get("blame_field_specs")
    return [".".join(map(str, spec)) for spec in specs if isinstance(spec, list)] if isinstance(specs, list) else []


def _number(raw: Any) -> int | None:
    if isinstance(raw, str) and raw.isascii() and raw.isdigit():
        return int(raw[:9])
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def _text(raw: Any) -> str | None:
    return raw[:500] if isinstance(raw, str) and raw.strip() else None


def _object(raw: Any) -> dict[str, Any]:
    return raw if isinstance(raw, dict) else {}
