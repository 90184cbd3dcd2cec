"""Consent and erasure in the Immutable dialect."""

from django.http import HttpRequest, HttpResponse

from audience.ids.values import canonical, clean
from audience.intake.dialects import immutable_rules as rules
from audience.intake.dialects.immutable import SECRET_HEADER, ImmutableView
from audience.intake.dialects.responses import as_json
from audience.intake.messages.message import Violation
from audience.intake.messages.times import is_blank
from audience.intake.requests import body
from audience.models.people import ANONYMOUS, USER
from audience.privacy import decisions
from audience.privacy.erasure import request_erasure
from consent.decisions import current_level
from consent.models import Level

MAX_BODY_BYTES = 64 * 1024
MAX_SOURCE_LENGTH = 128
DECISIONS = (Level.NONE, Level.ANONYMOUS, Level.FULL)


class PrivacyView(ImmutableView):
    def check_id(self, name: str, value: str) -> None:
        """Raise Refusal when the id is blank, too long or cannot be stored."""
        errors: list[Violation] = []
        rules.check_id({name: value}, name, errors, required=True)
        if errors:
            raise self.error(400, errors[0].message, errors)


class TrackingConsentView(PrivacyView):
    """GET and PUT /v1/audience/tracking-consent"""

    route = "tracking-consent"

    def get(self, request: HttpRequest) -> HttpResponse:
        key = self.require_key(request)
        self.check_caller(key)
        anonymous_id = _id_parameter(request, "anonymousId")
        self.check_id("anonymousId", anonymous_id)
        return as_json({"status": current_level(game_id=key.game_id, anonymous_id=canonical(anonymous_id))})

    def put(self, request: HttpRequest) -> HttpResponse:
        key = self.require_key(request)
        self.check_caller(key)
        payload = self.decode(self.read(request, limit=MAX_BODY_BYTES))
        if not isinstance(payload, dict):
            raise self.content_error('The body must be an object: {"anonymousId", "status", "source"}.')
        if errors := _decision_violations(payload):
            raise self.content_error(errors[0].message, errors)
        decisions.record(
            game_id=key.game_id,
            anonymous_id=canonical(rules.read_id(payload, "anonymousId")),
            level=Level(payload["status"]),
            source=payload["source"].strip(),
            decided_at=self.received_at,
        )
        return HttpResponse(status=204)


class DataView(PrivacyView):
    """DELETE /v1/audience/data?userId= or ?anonymousId=, with the secret key. A worker erases the data later."""

    route = "data"

    def delete(self, request: HttpRequest) -> HttpResponse:
        key = self.require_key(request, is_erasure=True)
        self.check_caller(key)
        ids = {
            namespace: value
            for namespace, parameter in ((USER, "userId"), (ANONYMOUS, "anonymousId"))
            if (value := _id_parameter(request, parameter))
        }
        if len(ids) != 1:
            raise self.error(400, "The query must contain exactly one of userId and anonymousId.")
        ((namespace, subject),) = ids.items()
        self.check_id(f"{namespace}Id", subject)
        request_erasure(
            game=key.game, namespace=namespace, subject=subject, requested_by=f"{SECRET_HEADER} {key.prefix}…"
        )
        return HttpResponse(status=202)


def _id_parameter(request: HttpRequest, parameter: str) -> str:
    """An id of the query, cleaned like the ids of messages."""
    return clean(body.replace_nul(request.GET.get(parameter, "")))


def _decision_violations(payload: dict[str, object]) -> list[Violation]:
    errors: list[Violation] = []
    rules.check_id(payload, "anonymousId", errors, required=True)
    status = payload.get("status")
    if is_blank(status):
        errors.append(rules.missing("status"))
    elif status not in DECISIONS:
        code = "INVALID_ENUM" if isinstance(status, str) else "INVALID_FORMAT"
        errors.append(Violation("status", code, f"status must be one of {', '.join(DECISIONS)}."))
    rules.check_text(payload, "source", errors, required=True, limit=MAX_SOURCE_LENGTH)
    return errors
