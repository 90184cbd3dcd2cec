"""TikTok's answers. It answers HTTP 200 even for failures, so the body's `code` is read first."""

from typing import Any

from postbacks.networks.interface.answers import decode_json, plain_message, retry_after, shorten, unanswered_outcome
from postbacks.networks.interface.call import Access, Outcome, Response, Verdict

SUCCESS = 0
# Partly accepted: some events were refused. Our requests have one event, which is then the refused one.
PARTLY_ACCEPTED = 20001
TRANSIENT = {40016, 40100, 40132, 40202}  # rate limits and temporary errors; other 4xxxx are permanent
TOKEN = {40101, 40102, 40104, 40105, *range(40106, 40132)}  # 40102 expired, 40104 empty, 40105 incorrect or revoked
PIXEL = {40001, 40003, *range(40300, 40303)}  # known token, no permission
RATE_LIMITED = 40100


def classify(response: Response) -> Outcome:
    """Read `{"code":int,"message":str,"request_id":str}`. A 401 alone does not prove a bad token: some gateways
    answer it with 40100 (rate), and a page without a code proves nothing about the event."""
    if response.status is None:
        return unanswered_outcome(response)
    body = decode_json(response)
    code = _code(body)
    # The APIs of others (a captive portal) answer `{"code":0}` too.
    is_complete = bool(_text(body, "message") or _text(body, "request_id"))
    verdict, access = _verdict(response.status, code, readable=body is not None, is_complete=is_complete)
    return Outcome(
        verdict=verdict,
        code=None if code is None else str(code),
        message=_message(response, body),
        request_id=_text(body, "request_id"),
        retry_after=retry_after(response) if _may_wait(response.status, code) else None,
        access=access,
        limited=verdict is Verdict.TRANSIENT and (response.status == 429 or code == RATE_LIMITED),
    )


def _verdict(status: int, code: int | None, *, readable: bool, is_complete: bool) -> tuple[Verdict, Access | None]:
    """`readable`: the body is a JSON object; `is_complete`: with a message or request id, as all of TikTok's are."""
    if status >= 500 or status in (408, 429) or code in TRANSIENT:
        return Verdict.TRANSIENT, None
    if code in TOKEN:
        return Verdict.CREDENTIAL, "token"
    if code in PIXEL:
        return Verdict.CREDENTIAL, "pixel"
    if code == SUCCESS and is_complete and 200 <= status < 300:
        return Verdict.SUCCESS, None
    if code is not None and (40000 <= code <= 49999 or code == PARTLY_ACCEPTED):
        return Verdict.PAYLOAD, None
    # Without a code only a JSON 4xx is TikTok's own; 401 and 403 may be a gateway's.
    if code is None and readable and 400 <= status < 500 and status not in (401, 403):
        return Verdict.PAYLOAD, None
    # 5xxxx and 6xxxx are errors of TikTok; HTML, redirects and unknown codes prove nothing.
    return Verdict.TRANSIENT, None


def _may_wait(status: int, code: int | None) -> bool:
    return status in (429, 503) or code == RATE_LIMITED


def _code(body: dict[str, Any] | None) -> int | None:
    raw = None if body is None else body.get("code")
    if isinstance(raw, str) and raw.isascii() and raw.isdigit():
        return int(raw[:9])
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def _message(response: Response, body: dict[str, Any] | None) -> str:
    return shorten(_text(body, "message") or "") or plain_message(response)


def _text(body: dict[str, Any] | None, name: str) -> str | None:
    raw = None if body is None else body.get(name)
    return raw[:500] if isinstance(raw, str) and raw else None
