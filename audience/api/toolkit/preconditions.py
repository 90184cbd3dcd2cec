"""ETag and If-Match of resources that two people may edit.

Without If-Match a change is applied to whatever is stored now.
"""

import hashlib

from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.problems import PreconditionFailed


def etag_of(*values: object) -> str:
    """Return the ETag of a resource whose representation has these values."""
    return f'"{hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).hexdigest()[:20]}"'


def require_match(request: Request, etag: str) -> None:
    """Raise PreconditionFailed if If-Match has no such ETag. Call it with the row locked."""
    stated = request.headers.get("If-Match", "").strip()
    # Proxies that compress answers make ETags weak. Ours change with every value, so that both are the same.
    if stated and stated != "*" and etag not in (one.strip().removeprefix("W/") for one in stated.split(",")):
        raise PreconditionFailed


def with_etag(response: Response, etag: str) -> Response:
    response["ETag"] = etag
    return response
