"""What a browser must read on every answer, or it hides the answer from the SDK."""

import re

from django.http import HttpRequest

METHODS = "GET, HEAD, POST, OPTIONS"
# Names of headers (RFC 9110, section 5.1) with commas between them. Sentry, Datadog and OpenTelemetry add some to every
# request of a page, which a browser only sends when the answer to its question allows them.
MAX_REQUESTED_LENGTH = 2048
REQUESTED = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]+", re.ASCII)


def requested_headers(request: HttpRequest, default: str) -> str:
    """The headers that a browser asks leave for, to be allowed; `default` where it asks for none, or for no names."""
    asked = request.META.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "").strip()
    return asked if len(asked) <= MAX_REQUESTED_LENGTH and REQUESTED.fullmatch(asked) else default


def echoed(request: HttpRequest) -> dict[str, str]:
    """The caller's Origin and requested headers back, with credentials: the SDKs of these dialects send cookies."""
    origin = request.META.get("HTTP_ORIGIN")
    if not origin:
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": requested_headers(request, "Content-Type, Authorization, AnonymousId"),
        "Access-Control-Expose-Headers": "Retry-After, X-RateLimit-Reset",
        "Access-Control-Max-Age": "900",
        "Vary": "Origin, Access-Control-Request-Headers",
    }
