"""The id of a request: in the answer's header X-Request-ID, in each log line of the request, and in Immutable's errors
as `trace_id`."""

import secrets
from collections.abc import MutableMapping
from typing import Any

from django.http import HttpRequest

HEADER = "X-Request-ID"
# The key in an ASGI scope and in HttpRequest.META. Headers of a client are in META under names that begin with HTTP_.
KEY = "afterclick.request_id"


def start(scope: MutableMapping[str, Any]) -> str:
    """Give the request of an ASGI scope an id of 32 hexadecimal digits, and return it.

    An X-Request-ID that the client sends is not used: two requests could have the same one.
    """
    scope[KEY] = secrets.token_hex(16)
    return str(scope[KEY])


def request_id(request: HttpRequest) -> str:
    """The id of this request; without an ASGI server, a new one at the first call."""
    value = request.META.get(KEY)
    if value is None:
        scope = getattr(request, "scope", None) or request.META.get("asgi.scope") or {}
        value = request.META[KEY] = scope.get(KEY) or secrets.token_hex(16)
    return str(value)
