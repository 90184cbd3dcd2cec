"""Reddit's answers: the HTTP status decides. The body may be v3's envelope, v2's, plain text or HTML."""

from typing import Any

from postbacks.networks.interface.answers import decode_json, plain_message, retry_after, shorten, unanswered_outcome
from postbacks.networks.interface.call import Access, Outcome, Response, Verdict

REQUEST_ID_HEADERS = ("x-request-id", "x-reddit-request-id")


def classify(response: Response) -> Outcome:
    """Read `{"data":{"message"}}` or `{"error":{"code","message","fields"}}`."""
    if response.status is None:
        return unanswered_outcome(response)
    body = decode_json(response)
    message = _message(response, body)
    verdict, access = _verdict(response, body, message)
    return Outcome(
        verdict=verdict,
        code=_code(body),
        message=message,
        request_id=next(
            (response.headers[name][:500] for name in REQUEST_ID_HEADERS if name in response.headers), None
        ),
        retry_after=retry_after(response) if response.status in (429, 503) else None,
        access=access,
        limited=response.status == 429,
    )


def _verdict(response: Response, body: dict[str, Any] | None, message: str) -> tuple[Verdict, Access | None]:
    status = response.status or 0
    if 200 <= status < 300:
        # An HTML page (a proxy, a maintenance notice) has accepted nothing.
        page = body is None and response.body.lstrip().startswith(b"<")
        return (Verdict.TRANSIENT if page else Verdict.SUCCESS), None
    if status == 401:
        return Verdict.CREDENTIAL, "token"
    if status == 403 and message.startswith("JSON error"):
        return Verdict.PAYLOAD, None  # a type error that v2 answered as "UNAUTHORIZED"
    if status == 403:
        return Verdict.CREDENTIAL, "pixel"
    if 400 <= status < 500 and status not in (408, 429):
        return Verdict.PAYLOAD, None
    return Verdict.TRANSIENT, None


def _message(response: Response, body: dict[str, Any] | None) -> str:
    """The message, then the message of each field, in v3's or v2's envelope."""
    if body is None:
        return plain_message(response)
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
            e["error_message"] for e in _objects(body.get("invalid_events")) if isinstance(e.get("error_message"), str)
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
