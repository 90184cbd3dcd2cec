"""The routes of the web pixel: its script, and the cookies of the visitor's id (see PixelMiddleware)."""

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseForbidden,
    HttpResponseRedirect,
    JsonResponse,
)
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from audience.intake.links.views import POLICY
from audience.intake.requests import visitor_cookies
from audience.pixel import handoff, script

logger = structlog.get_logger(__name__)

# A page of another site cannot send this header: the preflight request for it is not answered.
OWN_HEADER, OWN_VALUE = "X-Requested-With", "afterclick"


@require_http_methods(["GET", "HEAD"])
def script_file(request: HttpRequest, name: str) -> HttpResponse:
    """GET /s/<hash>.js: the script with this hash, of this release or an earlier one."""
    found = script.by_name().get(name)
    if found is None:
        raise Http404("This script does not exist. Copy the code of the pixel page again.")
    accepts_gzip = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(
        found.compressed if accepts_gzip else found.content, content_type="text/javascript; charset=utf-8"
    )
    if accepts_gzip:
        response["Content-Encoding"] = "gzip"
    response["Vary"] = "Accept-Encoding"
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    # A script with an integrity value is requested with CORS.
    response["Access-Control-Allow-Origin"] = "*"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    response["Timing-Allow-Origin"] = "*"
    return response


@never_cache
@require_POST
def visitor_id(request: HttpRequest) -> HttpResponse:
    """POST /s/id: sets the cookies of the visitor's id on the site that passed the request on, and returns the id.

    Form fields: `id`; `known`, not empty if that id replaces the one in the cookies; `token` and `key`, of a link
    from another domain of the studio, whose id takes precedence. An empty `id` deletes the cookies.
    """
    if request.headers.get(OWN_HEADER) != OWN_VALUE:
        return HttpResponseForbidden("This route is for the pixel of the same site.")
    value = request.POST.get("id", "")
    twin = request.COOKIES.get(visitor_cookies.TWIN_COOKIE, "")
    token, key = request.POST.get("token", ""), request.POST.get("key", "")
    if value and token and (handed := handoff.read_token(token, key=key, request=request)):
        value = handed
    elif value and not request.POST.get("known") and visitor_cookies.is_valid(twin):
        value = twin
    if value and not visitor_cookies.is_valid(value):
        return HttpResponseBadRequest("id has 8 to 128 letters, digits, dots and hyphens.")
    response = JsonResponse({"id": value})
    is_secure = request.is_secure() or request.headers.get("Origin", "").startswith("https://")
    visitor_cookies.set_id(response, value, secure=is_secure)
    return response


@never_cache
@require_http_methods(["GET", "HEAD"])
def follow_link(request: HttpRequest) -> HttpResponse:
    """GET /s/to?key=&to=: redirects to a domain that the key allows, with a token for the visitor's id if there is one.

    The id is read from a cookie, so that a page cannot request a token for another one. A link that cannot be checked
    is shown on a page: the key may have been revoked or restricted otherwise since the code was put on the website, and
    its visitors have to reach the page that they have chosen.
    """
    target = request.GET.get("to", "")
    try:
        key = handoff.sending_key(request.GET.get("key", ""))
    except (DatabaseError, InterfaceError) as error:
        logger.warning("link_not_checked", error=type(error).__name__)
        return _leaving(target, status=503)
    if key is None or not handoff.is_allowed(target, key=key):
        return _leaving(target, status=400)
    visitor_id = request.COOKIES.get(visitor_cookies.TWIN_COOKIE, "")
    if visitor_cookies.is_valid(visitor_id):
        target = handoff.with_token(target, visitor_id=visitor_id, key=key, request=request)
    return HttpResponseRedirect(target)


def _leaving(target: str, *, status: int) -> HttpResponse:
    """A page with a link to the target, if that is the URL of a website."""
    context = {"target": target if handoff.PLAIN_URL.fullmatch(target) else ""}
    headers = {"Content-Security-Policy": POLICY, "X-Robots-Tag": "noindex"}
    return HttpResponse(render_to_string("links/leaving.html", context), status=status, headers=headers)
