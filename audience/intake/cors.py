"""What a browser must read on every answer, or it hides the answer from the SDK."""

from django.http import HttpRequest

METHODS = "GET, HEAD, POST, OPTIONS"


def echoed(request: HttpRequest) -> dict[str, str]:
    """The caller's Origin and requested headers back, with credentials: the SDKs of these dialects send cookies."""
    origin = request.META.get("HTTP_ORIGIN")
    if not origin:
        return {"Vary": "Origin"}
    asked = request.headers.get("Access-Control-Request-Headers", "Content-Type, Authorization, AnonymousId")
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": asked,
        "Access-Control-Expose-Headers": "Retry-After, X-RateLimit-Reset",
        "Access-Control-Max-Age": "900",
        "Vary": "Origin, Access-Control-Request-Headers",
    }
