"""The CORS headers, without which a browser hides an answer from the SDK."""

import re

from django.http import HttpRequest

METHODS = "GET, HEAD, POST, OPTIONS"
# Names of headers (RFC 9110, section 5.1), separated by commas. Sentry, Datadog and OpenTelemetry add headers to every
# request of a page; a browser sends the request only if the answer to its preflight request allows them.
MAX_REQUESTED_LENGTH = 2048
REQUESTED = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]+", re.ASCII)


def requested_headers(request: HttpRequest, default: str) -> str:
    """The headers that a preflight request names; `default` where it names none, or something other than headers."""
    requested = request.META.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "").strip()
    return requested if len(requested) <= MAX_REQUESTED_LENGTH and REQUESTED.fullmatch(requested) else default


def allow_origin(request: HttpRequest) -> dict[str, str]:
    """Allow the request's origin and headers, with credentials: the SDKs of these dialects send cookies."""
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
