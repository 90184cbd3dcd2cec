"""The OpenAPI document of the management API: what drf-spectacular does not read from the views itself.

The summary is the first sentence of an action's docstring. Scope, role, headers and errors come from the view set.
"""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from audience.api.toolkit import idempotency
from audience.api.toolkit.problems import CONTENT_TYPE
from audience.api.toolkit.serializers import StrictSerializer

SECURITY_SCHEME = "managementToken"
PATH_PARAMETERS = {
    "game": "The URL name of the game, as in the Hub: /g/&lt;game&gt;/.",
    "day": "The `day` of the event, such as 2026-11-20.",
}
# {status: (title, code, detail of the example)} of what any operation may answer.
ERRORS: dict[str, tuple[str, str, str]] = {
    "400": ("Bad Request", "unknown_field", "There is no such field. The fields are: name."),
    "401": ("Unauthorized", "unknown_token", "This token is not valid. Check that it was copied completely."),
    "403": ("Forbidden", "missing_scope", "This token needs the scope `keys`."),
    "404": ("Not Found", "not_found", "This address has nothing, or the token may not see it."),
    "406": ("Not Acceptable", "not_acceptable", "Could not satisfy the request Accept header."),
    "409": ("Conflict", "conflict", "This key was revoked already."),
    "412": ("Precondition Failed", "changed", "Someone else changed this since you read it."),
    "413": ("Content Too Large", "too_large", "The body is too large."),
    "415": ("Unsupported Media Type", "unsupported_media_type", "The body must be application/json."),
    "422": ("Unprocessable Content", "idempotency_key_reused", "This Idempotency-Key was used for another request."),
    "429": ("Too Many Requests", "throttled", "Too many requests with this token. Try again in 12 seconds."),
    "500": ("Internal Server Error", "server_error", "The server failed. The request was not carried out."),
    "503": ("Service Unavailable", "unavailable", "The database is not available. Try again later."),
}


class ProblemErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="The path of the value, such as `goals.0.event`; empty for the request.")
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """An error (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong, and what to do.")
    code = serializers.CharField(help_text="For programs. A code keeps its meaning.")
    request_id = serializers.CharField(help_text="As in the server's log and in X-Request-ID.")
    errors = ProblemErrorSerializer(many=True)  # type: ignore[assignment]  # the name is in RFC 9457's example


class OperationSchema(AutoSchema):
    """The operation of an ApiViewSet's action."""

    view: Any

    def get_operation_id(self) -> str:
        return f"{self.view.basename}_{self.view.action}"

    def get_tags(self) -> list[str]:
        return [self.view.tag]

    def get_auth(self) -> list[dict[str, list[str]]]:
        return [{SECURITY_SCHEME: []}]

    def get_summary(self) -> str:
        return self._docstring().partition(".")[0].strip()

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular's own
        operation = self.view.operations[self.view.action]
        rest = " ".join(self._docstring().partition(".")[2].split())
        role = "" if operation.role is None else f" Role: {operation.role.value}."
        return f"{rest}\n\nScope: {operation.scope_text}.{role}".strip()

    def get_override_parameters(self) -> list[Any]:
        parameters: list[Any] = []
        if self.view.action in self.view.queries:
            parameters.append(self.view.queries[self.view.action])
        if self._is_carried_out_once():
            description = "Carries a repeated request out once, and answers as the first time. Kept for 24 hours."
            schema = {"type": "string", "maxLength": idempotency.MAX_KEY_LENGTH, "pattern": "^[ -~]*$"}
            header = OpenApiParameter(idempotency.HEADER, schema, OpenApiParameter.HEADER, description=description)
            parameters.append(header)
        if self.view.action in self.view.etag_actions and self.method != "GET":
            description = "The ETag that was read; 412 if someone else changed the resource since."
            parameters.append(OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description=description))
        return parameters

    def _is_carried_out_once(self) -> bool:
        return self.method == "POST" and not self.view.operations[self.view.action].only_reads

    def _get_format_parameters(self) -> list[dict[str, Any]]:
        return []  # the format is that of Accept

    def _map_basic_serializer(self, serializer: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        is_strict = isinstance(serializer, StrictSerializer) and direction == "request"
        return {**schema, "additionalProperties": False} if is_strict else schema

    def _docstring(self) -> str:
        method = getattr(self.view, self.view.action)
        return (method.__doc__ or "").strip()

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": dict(self.view.id_schema) if name == "id" else {"type": "string"},
                **({"description": PATH_PARAMETERS[name]} if name in PATH_PARAMETERS else {}),
            }
            for name in variables
        ]

    def _get_response_bodies(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(*args, **kwargs)
        problem = self.resolve_serializer(ProblemSerializer, "response").ref
        for status in self._error_statuses():
            bodies.setdefault(status, _error_body(status, problem))
        return bodies

    def _error_statuses(self) -> list[str]:
        statuses = ["400", "401", "403", "406", "429", "500", "503"]
        has_path = "{" in self.path
        statuses += ["404"] if has_path else []
        statuses += ["409", "413", "415"] if self.method in ("POST", "PATCH", "PUT") else []
        statuses += ["409"] if self.method == "DELETE" or self.view.action in self.view.conflicting_reads else []
        statuses += ["422"] if self._is_carried_out_once() else []
        statuses += ["412"] if self.view.action in self.view.etag_actions and self.method != "GET" else []
        return sorted(statuses)


def _error_body(status: str, schema: dict[str, Any]) -> dict[str, Any]:
    title, code, detail = ERRORS[status]
    example = {
        "type": "about:blank",
        "title": title,
        "status": int(status),
        "detail": detail,
        "code": code,
        "request_id": "9f1c0a2b6d5e4f3a8b7c6d5e4f3a2b1c",
        "errors": [{"field": "title", "code": code, "message": detail}] if status == "400" else [],
    }
    return {"description": title, "content": {CONTENT_TYPE: {"schema": schema, "example": example}}}
