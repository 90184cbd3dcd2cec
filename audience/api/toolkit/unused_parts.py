"""Refuses parts of a request that its operation would ignore: a body, and a precondition."""

from rest_framework.request import Request

from audience.api.toolkit.problems import Refused
from audience.api.toolkit.serializers import StrictSerializer

NO_BODY = "This operation takes no body. Parameters are in the address."
NO_ETAG = "This operation has no ETag, so that If-Match cannot be checked. Leave it out."


def refuse_body(request: Request) -> None:
    """Raise ValidationError for a body with values, by the names of its fields, and Refused for one that is no object.

    An empty object is no body."""
    # Read as a whole first, so that the fingerprint of an Idempotency-Key can read it again.
    if not request._request.body or not request.data:
        return
    if not isinstance(request.data, dict):
        raise Refused(NO_BODY, code="no_body")
    StrictSerializer(data=request.data).is_valid(raise_exception=True)


def refuse_precondition(request: Request) -> None:
    """Raise Refused for an If-Match that states an ETag."""
    if request.headers.get("If-Match", "*").strip() not in ("", "*"):
        raise Refused(NO_ETAG, code="no_etag")
