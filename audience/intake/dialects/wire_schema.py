"""The OpenAPI document of every wire route: each dialect's table, put together for drf-spectacular."""

from typing import Any

from drf_spectacular.drainage import warn
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry

from audience.intake.dialects import (
    browser_schema,
    immutable_schema,
    metarouter_schema,
    parcelvoy_schema,
    rudderstack_schema,
    segment_schema,
)
from audience.intake.dialects import openapi as api
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.immutable import PUBLISHABLE_HEADER, SECRET_HEADER

# What drf-spectacular hands to a preprocessing hook: path, its pattern, method, the function that serves it.
Endpoint = tuple[str, str, str, Any]
MODULES = (immutable_schema, segment_schema, metarouter_schema, browser_schema, parcelvoy_schema)
OPERATIONS: api.Operations = {key: found for module in MODULES for key, found in module.OPERATIONS.items()}
# In the document's order.
TAGS = {
    immutable_schema.TAG: "One key in a header of its own, every reason for every message, consent and erasure.",
    rudderstack_schema.TAG: "The key is the user name of HTTP Basic. Success is exactly 200 and `OK`.",
    metarouter_schema.TAG: "The same messages under short words, with JSON answers; webhooks and pixels.",
    browser_schema.TAG: "What analytics.js of RudderStack and of Segment ask for, so that they run with no cloud.",
    parcelvoy_schema.TAG: "A Bearer key; 204 once the data is on disk, or the first thing wrong.",
}
_FORM = "A key of the game, pk_imapik-… or pk_imapik-test-…"
_SERVER = "sk_imapik-server-… or sk_imapik-test-server-…"
SECURITY_SCHEMES = {
    "publishableKey": {
        "type": "apiKey",
        "in": "header",
        "name": PUBLISHABLE_HEADER,
        "description": _FORM,
    },
    "secretKey": {
        "type": "apiKey",
        "in": "header",
        "name": SECRET_HEADER,
        "description": "A secret key of the game, sk_imapik-… or sk_imapik-test-…",
    },
    "serverKey": {
        "type": "apiKey",
        "in": "header",
        "name": SECRET_HEADER,
        "description": f"A server key of the game, {_SERVER}: for backends, such as one that reports purchases.",
    },
    "writeKey": {
        "type": "http",
        "scheme": "basic",
        "description": f"User name: {_FORM}, or a server key, {_SERVER}. Password: empty.",
    },
    "writeKeyInQuery": {"type": "apiKey", "in": "query", "name": "writeKey", "description": _FORM},
    "bearerKey": {"type": "http", "scheme": "bearer", "description": f"{_FORM}; a server or secret key will do too."},
}


class WireSchema(AutoSchema):
    """Looks a route up in its dialect's table, so that the views hold no word of their description."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> api.Schema | None:
        found = OPERATIONS.get((method, path))
        if found is None:
            warn(f"{method} {path} is served and not described: add it to its dialect's OPERATIONS")
        return found


def served_paths(endpoints: list[Endpoint]) -> list[Endpoint]:
    """The wire routes without their lenient twins (`//v1/…`, `…/`), which are patterns; with the HEAD we describe."""
    found = [one for one in endpoints if issubclass(one[3].cls, IngestView) and "[" not in one[0]]
    heads = {path for method, path in OPERATIONS if method == "HEAD"}
    return [*found, *((path, pattern, "HEAD", view) for path, pattern, _, view in found if path in heads)]


def with_components(*, result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """The document with what the operations point at."""
    schemas = {name: schema for module in MODULES for name, schema in module.SCHEMAS.items()}
    responses = {name: answer for module in MODULES for name, answer in module.RESPONSES.items()}
    result["components"] = {"schemas": schemas, "responses": responses, "securitySchemes": SECURITY_SCHEMES}
    result["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    return result
