"""Helpers for every network's answers: a body that may not be JSON, Retry-After, a call without an answer."""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from postbacks.networks.interface.call import Outcome, Response, Verdict

# Longer waits are read as this one. How long is really waited is decided by postbacks/delivery/retry_schedule.py.
MAX_RETRY_AFTER_SECONDS = 30 * 24 * 60 * 60.0
MAX_MESSAGE_LENGTH = 500

# Response.failure -> the text for the delivery log.
FAILURES = {
    "timeout": "No answer within 10 s",
    "reset": "The connection was closed before an answer arrived",
    "unreadable": "The answer could not be read",
    "no_connection": "No connection within 5 s",
    "refused": "The connection was refused",
    "dns": "The network's address could not be resolved",
    "tls": "No secure connection could be made",
    "unsendable": "The request could not be created: the credential contains a character that is not allowed in "
    "headers",
}


def decode_json(response: Response) -> dict[str, Any] | None:
    """The body as a JSON object; None for anything else."""
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def plain_message(response: Response) -> str:
    """The message of a body that is not JSON: an HTML page's title, the start of plain text, else the status."""
    body = response.body.decode(errors="replace").strip()
    if title := _title(body):
        body = title
    elif body.startswith(("<", "{", "[")):
        body = ""
    return shorten(body) or f"HTTP {response.status} without a readable answer"


def _title(page: str) -> str:
    """The text of the first title. Without a regular expression, whose time grows with the square of the titles."""
    lowered = page.lower()
    # Letters whose lower case is longer would move the positions.
    lowered = lowered if len(lowered) == len(page) else page
    start = lowered.find("<title")
    begin = lowered.find(">", start) + 1 if start >= 0 else 0
    end = lowered.find("</title", begin) if begin else -1
    return page[begin:end] if end >= 0 else ""


def body_text(response: Response) -> str:
    """The body as one line of text, without NUL; '<' for an HTML page."""
    body = shorten(response.body.decode(errors="replace"))
    return "<" if body.startswith("<") else body


def shorten(message: str) -> str:
    """One line of at most MAX_MESSAGE_LENGTH characters, without NUL."""
    line = " ".join(message.replace("\x00", " ").split())
    return line if len(line) <= MAX_MESSAGE_LENGTH else line[: MAX_MESSAGE_LENGTH - 1] + "…"


def unanswered_outcome(response: Response) -> Outcome:
    """The Outcome of a call without an HTTP answer: always TRANSIENT."""
    message = FAILURES.get(response.failure or "", "The network could not be reached")
    return Outcome(Verdict.TRANSIENT, None, message, unknown=response.is_unknown)


def retry_after(response: Response) -> float | None:
    """Seconds to wait by the Retry-After header (seconds or an HTTP date), 0 to 30 days; None without a usable one.

    A date is compared with the answer's own Date header, so that neither clock needs to be correct.
    """
    raw = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,12}", raw):
        return min(float(raw), MAX_RETRY_AFTER_SECONDS)
    until = _http_date(raw)
    if until is None:
        return None
    now = _http_date(response.headers.get("date", "")) or datetime.now(UTC)
    return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER_SECONDS)


def reset_after(response: Response, *names: str) -> float | None:
    """Seconds until the moment (in seconds since 1970) of the first usable of these headers, at most 30 days; None
    without one, and for a moment that is over. The answer's own Date header is the present, if it has one."""
    now = _http_date(response.headers.get("date", "")) or datetime.now(UTC)
    moments = (response.headers.get(name, "").strip() for name in names)
    waits = (int(moment) - now.timestamp() for moment in moments if re.fullmatch(r"\d{1,12}", moment))
    return next((min(wait, MAX_RETRY_AFTER_SECONDS) for wait in waits if wait > 0), None)


def _http_date(raw: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(raw)
    except (ValueError, OverflowError):  # the latter for a year of twenty digits
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
