"""Errors of the management API as problem details (RFC 9457).

Every answer from 400 on is `application/problem+json`: {"type", "title", "status", "detail", "code", "request_id",
"errors": [{"field", "code", "message"}]}. `field` is the path of a value in the body, such as `goals.0.event`, or the
name of a parameter; "" for the request as a whole. `errors` has at most MAX_ERRORS, with names and messages cut: they
may repeat what was sent, and a body of 5 MB must not make a larger answer.
"""

import sys
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import set_rollback

from audience.database.availability import is_unavailable
from audience.intake.requests.request_id import request_id

logger = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 30
MAX_ERRORS = 100
MAX_FIELD_LENGTH = 200
MAX_MESSAGE_LENGTH = 1_000
# The code of an error that stands for all unknown fields that are not named.
MORE_UNKNOWN_FIELDS = "more_unknown_fields"
NOT_FOUND = "This address has nothing, or the token may not see it."
SERVER_ERROR = "The server failed. The request was not carried out. Its id is in the server's log."
UNAVAILABLE = "The database is not available. Try again later."


class Refused(exceptions.APIException):
    """A request that was understood and is refused. `field` names the value that caused it, "" if none did."""

    status_code: int = status.HTTP_400_BAD_REQUEST
    default_code = "refused"

    def __init__(self, detail: str, *, field: str = "", code: str = "refused") -> None:
        super().__init__({field: [exceptions.ErrorDetail(detail, code)]} if field else detail, code)


class Conflict(Refused):
    """The request contradicts the present state, such as a key that was revoked already."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"

    def __init__(self, detail: str, *, field: str = "", code: str = "conflict") -> None:
        super().__init__(detail, field=field, code=code)


class PreconditionFailed(exceptions.APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "changed"
    default_detail = "Someone else changed this since you read it. Read it again, and send its new ETag in If-Match."


class KeyReused(exceptions.APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was used for another request. Use a new key for each request."


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The body is too large."


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """Return the answer to an exception of a view: DRF's exception handler of the management API."""
    set_rollback()
    known, request = _known(error), context["request"]
    if known is None:
        return _failed(error, request)
    found = _flat(known.detail)
    details = list(islice(found, MAX_ERRORS))
    first = details[0]
    is_single = len(details) == 1
    has_more = next(found, None) is not None or any(one["code"] == MORE_UNKNOWN_FIELDS for one in details)
    number = f"More than {len(details) - 1}" if has_more else str(len(details))
    detail = first["message"] if is_single else f"{number} values of the request are not valid."
    code = first["code"] if is_single and not first["field"] else known.default_code
    has_fields = isinstance(known.detail, (dict, list))
    response = _problem(request, known.status_code, detail, code=code, errors=details if has_fields else [])
    if challenge := getattr(known, "auth_header", ""):
        response["WWW-Authenticate"] = challenge
    if wait := getattr(known, "wait", None):
        response["Retry-After"] = str(max(1, round(wait)))
    return response


def _known(error: Exception) -> exceptions.APIException | None:
    """Return the error as one of DRF's, None for an error of the server."""
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, Http404):
        return exceptions.NotFound(NOT_FOUND)
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied(str(error) or None)
    return TooLarge() if isinstance(error, RequestDataTooBig) else None


def _failed(error: Exception, request: Any) -> Response:
    """Log the exception; 503 if the database is unavailable."""
    if is_unavailable(error):
        logger.warning("database_unavailable", path=request.path, error=str(error).partition("\n")[0][:200])
        response = _problem(request, status.HTTP_503_SERVICE_UNAVAILABLE, UNAVAILABLE, code="unavailable")
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    logger.error("request_failed", path=request.path, exc_info=sys.exc_info())
    return _problem(request, status.HTTP_500_INTERNAL_SERVER_ERROR, SERVER_ERROR, code="server_error")


def _problem(
    request: Any, number: int, detail: str, *, code: str, errors: list[dict[str, str]] | None = None
) -> Response:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(number).phrase,
        "status": number,
        "detail": detail,
        "code": code,
        "request_id": request_id(request._request),
        "errors": errors or [],
    }
    return Response(body, status=number, content_type=CONTENT_TYPE)


def _flat(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Yield {field, code, message} of DRF's nested errors."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flat(inner, path if name == "non_field_errors" else f"{path}.{name}".lstrip("."))
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            # A list of errors, or one entry of errors per item of a list.
            is_item = isinstance(inner, (dict, list))
            yield from _flat(inner, f"{path}.{number}".lstrip(".") if is_item else path)
    else:
        code, message = str(getattr(detail, "code", "invalid")), str(detail)
        yield {"field": path[:MAX_FIELD_LENGTH], "code": code, "message": message[:MAX_MESSAGE_LENGTH]}
