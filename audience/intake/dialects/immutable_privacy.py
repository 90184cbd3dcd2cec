"""Consent and erasure in the Immutable dialect."""

from django.http import HttpRequest, HttpResponse

from audience.intake.dialects.immutable import SECRET_HEADER, ImmutableView
from audience.intake.dialects.responses import as_json
from audience.intake.messages.times import is_blank
from audience.intake.requests import body
from audience.models.people import ANONYMOUS, USER
from audience.privacy.erasure import request_erasure
from consent.models import Level
from consent.services import current_level, record_decision

MAX_BODY = 64 * 1024
MAX_ID_LENGTH = 256
MAX_SOURCE_LENGTH = 128
DECISIONS = (Level.NONE, Level.ANONYMOUS, Level.FULL)


class TrackingConsentView(ImmutableView):
    """GET and PUT /v1/audience/tracking-consent"""

    route = "tracking-consent"

    def get(self, request: HttpRequest) -> HttpResponse:
        key = self.key(request)
        self.check_caller(key)
        anonymous_id = _id_parameter(request, "anonymousId")
        problem = _id_problem("anonymousId", anonymous_id)
        if problem:
            raise self.envelope(400, problem["message"], [problem])
        return as_json({"status": current_level(game_id=key.game_id, anonymous_id=anonymous_id)})

    def put(self, request: HttpRequest) -> HttpResponse:
        key = self.key(request)
        self.check_caller(key)
        payload = self.decode(self.read(request, limit=MAX_BODY))
        if not isinstance(payload, dict):
            raise self.envelope(400, 'The body must be an object: {"anonymousId", "status", "source"}.')
        problems = _decision_problems(payload)
        if problems:
            raise self.envelope(400, problems[0]["message"], problems)
        record_decision(
            game_id=key.game_id,
            anonymous_id=payload["anonymousId"].strip(),
            level=Level(payload["status"]),
            source=payload["source"].strip(),
            decided_at=self.received_at,
        )
        return HttpResponse(status=204)


class DataView(ImmutableView):
    """DELETE /v1/audience/data?userId= or ?anonymousId=, with the secret key. The erasure itself runs later."""

    route = "data"

    def delete(self, request: HttpRequest) -> HttpResponse:
        key = self.key(request, erases=True)
        self.check_caller(key)
        named = {
            namespace: value
            for namespace, parameter in ((USER, "userId"), (ANONYMOUS, "anonymousId"))
            if (value := _id_parameter(request, parameter))
        }
        if len(named) != 1:
            raise self.envelope(400, "Name exactly one of userId and anonymousId in the query.")
        ((namespace, subject),) = named.items()
        problem = _id_problem(f"{namespace}Id", subject)
        if problem:
            raise self.envelope(400, problem["message"], [problem])
        request_erasure(
            game=key.game, namespace=namespace, subject=subject, requested_by=f"{SECRET_HEADER} {key.prefix}…"
        )
        return HttpResponse(status=202)


def _id_parameter(request: HttpRequest, parameter: str) -> str:
    """An id of the query in the form that ids of messages are stored in."""
    return body.storable(request.GET.get(parameter, "")).strip()


def _decision_problems(payload: dict[str, object]) -> list[dict[str, str]]:
    found = []
    if problem := _id_problem("anonymousId", payload.get("anonymousId")):
        found.append(problem)
    status = payload.get("status")
    if is_blank(status):
        found.append(_problem("status", "MISSING_REQUIRED_FIELD", "status is required."))
    elif status not in DECISIONS:
        code = "INVALID_ENUM" if isinstance(status, str) else "INVALID_FORMAT"
        found.append(_problem("status", code, f"status must be one of {', '.join(DECISIONS)}."))
    if problem := _text_problem("source", payload.get("source"), MAX_SOURCE_LENGTH):
        found.append(problem)
    return found


def _id_problem(name: str, value: object) -> dict[str, str] | None:
    return _text_problem(name, value, MAX_ID_LENGTH)


def _text_problem(name: str, value: object, max_length: int) -> dict[str, str] | None:
    if is_blank(value):
        return _problem(name, "MISSING_REQUIRED_FIELD", f"{name} is required.")
    if not isinstance(value, str):
        return _problem(name, "INVALID_FORMAT", f"{name} must be a string.")
    if len(value) > max_length:
        return _problem(name, "INVALID_VALUE", f"{name} is longer than {max_length} characters.")
    return None


def _problem(field: str, code: str, message: str) -> dict[str, str]:
    return {"field": field, "code": code, "message": message}
