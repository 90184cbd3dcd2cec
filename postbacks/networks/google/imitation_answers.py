"""The answers of Google's imitation, in the format of its servers."""

import re
import uuid
from collections.abc import Sequence
from typing import Any

from postbacks.networks.interface.imitation import ImitationResponse

TYPE = "type.googleapis.com/google.rpc."
# A request ID of the imitation ends in what its diagnostics say: t-<UUID>-TOO_RECENT_CLICK.
REQUEST_ID = re.compile(r"t-[0-9a-f-]{36}(?:-([A-Z_]+))?")
WHOLE_REASONS = frozenset({"PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER"})


def receipt(result: str = "", *, events: tuple[tuple[str, ...], ...] = ()) -> ImitationResponse:
    """`result` is '' for a good end, PROCESSING, or a reason."""
    return ImitationResponse(200, {"requestId": request_id(result)}, events=events)


def receipt_with_warning(pixel: str) -> ImitationResponse:
    warning = {
        "reason": "WARNING_REASON_CUSTOM_VARIABLE_NOT_ENABLED",
        "description": "Custom variable is not enabled.",
        "field": "events[0].custom_variables[0]",
    }
    return ImitationResponse(200, {"requestId": request_id(""), "fieldWarnings": [warning]})


def request_id(result: str) -> str:
    return f"t-{uuid.uuid4()}{'-' if result else ''}{result}"


def diagnostics(name: str) -> ImitationResponse:
    """The status of the request with this ID."""
    known = REQUEST_ID.fullmatch(name)
    if known is None:
        return invalid("request_id", "The request ID is not valid.", "INVALID_REQUEST_ID")
    result = known[1] or ""
    entry: dict[str, Any] = {"requestStatus": "PROCESSING" if result == "PROCESSING" else "SUCCESS"}
    if entry["requestStatus"] == "SUCCESS" and not result:
        entry["eventsIngestionStatus"] = {"recordCount": "1"}
    elif result != "PROCESSING":
        reason = result if result in WHOLE_REASONS else f"PROCESSING_ERROR_REASON_{result}"
        entry = {
            "requestStatus": "FAILED",
            "errorInfo": {"errorCounts": [{"recordCount": "1", "reason": reason}]},
        }
    return ImitationResponse(200, {"requestStatusPerDestination": [entry]})


def invalid(field: str, description: str, reason: str) -> ImitationResponse:
    violation = {"field": field, "description": description, "reason": reason}
    details = [{"@type": f"{TYPE}BadRequest", "fieldViolations": [violation]}]
    return error(400, "INVALID_ARGUMENT", "There was a problem with the request.", details=details)


def unauthenticated() -> ImitationResponse:
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential."
    )
    return error(401, "UNAUTHENTICATED", message, reason="ACCESS_TOKEN_EXPIRED", domain="googleapis.com")


def forbid(pixel: str) -> ImitationResponse:
    return error(403, "PERMISSION_DENIED", "The caller does not have permission")


def api_disabled(pixel: str) -> ImitationResponse:
    url = "https://console.cloud.google.com/apis/api/datamanager.googleapis.com/overview?project=000000000000"
    info = {
        "@type": f"{TYPE}ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": {"service": "datamanager.googleapis.com", "activationUrl": url},
    }
    message = "Data Manager API has not been used in project 000000000000 before or it is disabled."
    return error(403, "PERMISSION_DENIED", message, details=[info])


def error(
    status: int,
    name: str,
    message: str,
    *,
    reason: str = "",
    domain: str = "datamanager.googleapis.com",
    details: Sequence[dict[str, Any]] = (),
) -> ImitationResponse:
    """`details` come between the general reason of the error and its request ID."""
    identity = request_id("")
    parts = [
        *([] if details else [{"@type": f"{TYPE}ErrorInfo", "reason": reason or name, "domain": domain}]),
        *details,
        {"@type": f"{TYPE}RequestInfo", "requestId": identity},
    ]
    return ImitationResponse(status, {"error": {"code": status, "message": message, "status": name, "details": parts}})


def refused_grant(description: str) -> ImitationResponse:
    return ImitationResponse(400, {"error": "invalid_grant", "error_description": description})
