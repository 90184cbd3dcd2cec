"""Keys, errors and CORS of the Immutable dialect."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest

from audience.intake.dialects.responses import (
    DEFAULT_CODE,
    ENVELOPE_CODES,
    ENVELOPE_STATUSES,
    Refusal,
    RequestProblem,
    as_json,
    error_envelope,
    requested_headers,
)
from audience.intake.dialects.route import Route
from audience.intake.messages.message import Violation
from audience.intake.requests.auth import find_key
from audience.intake.requests.request_id import HEADER
from audience.models import ApiKey, Dialect, KeyKind
from audience.models.keys import SENDER_KINDS, SERVER_KEY_MARK

PUBLISHABLE_HEADER = "x-immutable-publishable-key"
SECRET_HEADER = "x-immutable-api-key"
SECRET_START = "sk_imapik-"
META_NAMES = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in (PUBLISHABLE_HEADER, SECRET_HEADER)}
ALLOWED_HEADERS = f"content-type, content-encoding, {PUBLISHABLE_HEADER}, {SECRET_HEADER}"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Expose-Headers": f"Retry-After, {HEADER}",
    "Access-Control-Max-Age": "86400",
    "Vary": "Access-Control-Request-Headers",
}


class ImmutableRoute(Route):
    """The base class of the routes of this dialect."""

    dialect = Dialect.IMMUTABLE

    def cors(self, request: HttpRequest) -> dict[str, str]:
        """Allows any origin, without credentials, and the requested headers."""
        return {**CORS, "Access-Control-Allow-Headers": requested_headers(request, ALLOWED_HEADERS)}

    def refuse(self, problem: RequestProblem, detail: str = "") -> Refusal:
        return self.error(ENVELOPE_STATUSES.get(problem, 400), detail)

    def error(self, status: int, message: str, violations: Sequence[Violation] = ()) -> Refusal:
        """The dialect's error, to be raised."""
        code, details = ENVELOPE_CODES.get(status, DEFAULT_CODE), [violation.as_dict() for violation in violations]
        return Refusal(as_json(error_envelope(self.request, code, message, details), status=status))

    def content_error(self, message: str, violations: Sequence[Violation] = ()) -> Refusal:
        """The error 400 of a request that is not understood, with its Rejection."""
        reason = violations[0] if violations else Violation("", RequestProblem.NOT_AN_EVENT.name, message)
        return self.with_request_rejection(self.error(400, message, violations), reason)

    def find_key(self, request: Any, *, is_erasure: bool = False) -> ApiKey:
        """The request's key. Raises Refusal: 400 for a malformed key, 401 if it is unknown, revoked or of a wrong kind.

        Except for erasures, a server key may be in either header.
        """
        header = SECRET_HEADER if is_erasure else PUBLISHABLE_HEADER
        value = request.META.get(META_NAMES[header], "").strip()
        if not is_erasure and not value:
            secret = request.META.get(META_NAMES[SECRET_HEADER], "").strip()
            value = secret if SERVER_KEY_MARK in secret else ""
        if not value.startswith(("pk_imapik-", "sk_imapik-")):
            form = "a secret key (sk_imapik-…)" if is_erasure else "a key (pk_imapik-… or sk_imapik-…)"
            raise self.error(400, f"The header {header} is missing or does not contain {form}.")
        key = find_key(value, kinds=(KeyKind.SECRET,) if is_erasure else SENDER_KINDS)
        if key is None:
            kind = KeyKind.SECRET if is_erasure else KeyKind.PUBLISHABLE
            text = f"The {kind} key is not recognized. Check that it is correct and not revoked."
            if is_erasure and (SERVER_KEY_MARK in value or not value.startswith(SECRET_START)):
                text = f"Erasing requires a secret key ({SECRET_START}…), not a publishable or server key."
            raise self.with_expired_key_rejection(self.error(401, text), value)
        return key

    def require_key(self, request: Any) -> ApiKey:
        """The key of a request with events, within its rate limit. Raises Refusal."""
        key = self.find_key(request)
        self.admit(key)
        return key
