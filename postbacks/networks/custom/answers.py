"""Reads an answer by the rules of the postback: which statuses mean what, and what a JSON body must hold."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postbacks.networks.interface.answers import body_text, plain_message, retry_after, shorten, unanswered_outcome
from postbacks.networks.interface.call import Access, Outcome, Response, Verdict

SUCCESS = "2xx"
STATUS = re.compile(r"(?P<hundreds>[1-5])xx|(?P<first>[1-5]\d\d)(?:-(?P<last>[1-5]\d\d))?")
# What an answer means unless the postback says otherwise.
TRANSIENT = frozenset({408, 425, 429, *range(500, 600)})
ACCESS: Mapping[int, Access] = {401: "token", 403: "pixel"}
PRIVATE = "Not sent: this address is not on the public internet. The operator can allow it with POSTBACK_PRIVATE_HOSTS."
REDIRECT = "The server responded with a redirect, which is not followed. Enter the URL that it leads to."
# Members of a JSON answer that servers put their message in.
MESSAGES = ("message", "error", "error_message", "errorMessage", "msg", "detail", "reason", "description")
MISSING = object()


@dataclass(frozen=True, slots=True)
class SuccessPath:
    """`data.0.status=ok`: the steps to a member of a JSON answer, and the text that it has on success; '' for any value
    but false, null, 0 and what is empty."""

    steps: tuple[str, ...]
    expected: str

    @classmethod
    def parse(cls, text: str) -> "SuccessPath | None":
        """None for a blank text. ValueError for one without a path."""
        path, _, expected = text.partition("=")
        if not text.strip():
            return None
        steps = tuple(step.strip() for step in path.split("."))
        if not all(steps):
            raise ValueError("Enter a path such as data.status, or with its value: data.status=ok.")
        return cls(steps, expected.strip())

    def holds(self, body: Any) -> bool:
        for step in self.steps:
            if isinstance(body, dict):
                body = body.get(step, MISSING)
            elif isinstance(body, list) and step.isdecimal() and len(step) < 6 and int(step) < len(body):
                body = body[int(step)]
            else:
                return False
        if body is MISSING:
            return False
        return bool(body) if not self.expected else _as_text(body) == self.expected


def _as_text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value)


def parse_statuses(text: str) -> frozenset[int]:
    """`2xx, 304, 400-404`. ValueError, with a sentence, for anything else."""
    statuses: set[int] = set()
    for piece in filter(None, re.split(r"[,\s]+", text)):
        match = STATUS.fullmatch(piece.lower())
        if not match:
            raise ValueError("Enter statuses such as 200, 2xx or 400-404, separated by commas.")
        if match["hundreds"]:
            statuses |= set(range(int(match["hundreds"]) * 100, int(match["hundreds"]) * 100 + 100))
        else:
            statuses |= set(range(int(match["first"]), int(match["last"] or match["first"]) + 1))
    return frozenset(statuses)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the answers of a postback's server mean. A status of several sets counts as the first of them."""

    success: frozenset[int]
    path: SuccessPath | None
    transient: frozenset[int]
    permanent: frozenset[int]

    @classmethod
    def of(cls, credential: Mapping[str, str]) -> "Rules":
        return cls(
            success=parse_statuses(credential.get("success_statuses") or SUCCESS),
            path=SuccessPath.parse(credential.get("success_path", "")),
            transient=parse_statuses(credential.get("transient_statuses", "")),
            permanent=parse_statuses(credential.get("permanent_statuses", "")),
        )

    def judge(self, response: Response) -> tuple[Verdict, Access | None]:
        status = response.status or 0
        if status in self.success:
            body, is_json = _json(response)
            if self.path is None or self.path.holds(body):
                return Verdict.SUCCESS, None
            # Another JSON answer is a refusal. A page instead (maintenance, a login) says nothing about the event.
            return Verdict.PAYLOAD if is_json else Verdict.TRANSIENT, None
        if status in self.transient:
            return Verdict.TRANSIENT, None
        if status in self.permanent:
            return Verdict.PAYLOAD, None
        if status in ACCESS:
            return Verdict.CREDENTIAL, ACCESS[status]
        if status in TRANSIENT or not 400 <= status < 500:
            return Verdict.TRANSIENT, None
        return Verdict.PAYLOAD, None


def classify(response: Response, rules: Rules) -> Outcome:
    """The outcome of an answer. A host that must not be called is refused like a credential: the postback goes on hold,
    and what waits is sent once someone has corrected the address."""
    if response.failure == "forbidden":
        return Outcome(Verdict.CREDENTIAL, None, PRIVATE, access="pixel")
    if response.status is None:
        return unanswered_outcome(response)
    verdict, access = rules.judge(response)
    return Outcome(
        verdict=verdict,
        code=str(response.status),
        message=message_of(response),
        retry_after=retry_after(response) if response.status in (429, 503) else None,
        access=access,
        limited=response.status == 429 and verdict is Verdict.TRANSIENT,
    )


def message_of(response: Response) -> str:
    """The server's own message: a usual member of a JSON object, else the start of the body."""
    if 300 <= (response.status or 0) < 400:
        return REDIRECT
    body, is_json = _json(response)
    stated = [body.get(name) for name in MESSAGES] if isinstance(body, dict) else []
    nested = [member.get(name) for member in stated if isinstance(member, dict) for name in MESSAGES]
    message = next((text for text in [*stated, *nested] if isinstance(text, str) and text.strip()), "")
    return shorten(message) or (body_text(response) if is_json and body else "") or plain_message(response)


def _json(response: Response) -> tuple[Any, bool]:
    """The decoded body and whether it is a JSON object or array."""
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        return None, False
    return body, isinstance(body, dict | list)
