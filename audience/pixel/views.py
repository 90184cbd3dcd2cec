"""The routes of the web pixel: its script, and the cookies of the visitor's id (see PixelMiddleware)."""

import re

from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseForbidden,
    HttpResponseRedirect,
    JsonResponse,
)
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from audience.pixel import handoff, script

# Readable by the script, and its twin that is not: a script of the site that writes or deletes the one keeps the other.
ID_COOKIE, TWIN_COOKIE = "ac_id", "ac_twin"
# 400 days, the longest that Chromium keeps a cookie.
MAX_AGE_SECONDS = 400 * 86_400
ID = re.compile(r"[\w.-]{8,128}", re.ASCII)
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

    Form fields: `id`; `known`, which is "1" if that id replaces the one in the cookies; `token` and `key`, of a link
    from another domain of the studio, whose id takes precedence. An empty `id` deletes the cookies.
    """
    if request.headers.get(OWN_HEADER) != OWN_VALUE:
        return HttpResponseForbidden("This route is for the pixel of the same site.")
    value = request.POST.get("id", "")
    twin = request.COOKIES.get(TWIN_COOKIE, "")
    key = handoff.sending_key(request.POST.get("key", ""))
    if value and (handed := handoff.read_token(request.POST.get("token", ""), key=key, request=request)):
        value = handed
    elif value and not request.POST.get("known") and ID.fullmatch(twin):
        value = twin
    if value and not ID.fullmatch(value):
        return HttpResponseBadRequest("id has 8 to 128 letters, digits, dots and hyphens.")
    response = JsonResponse({"id": value})
    is_secure = request.is_secure() or request.headers.get("Origin", "").startswith("https://")
    for name in (ID_COOKIE, TWIN_COOKIE):
        if value:
            is_twin = name == TWIN_COOKIE
            response.set_cookie(
                name, value, max_age=MAX_AGE_SECONDS, secure=is_secure, httponly=is_twin, samesite="Lax"
            )
        else:
            response.delete_cookie(name, samesite="Lax")
    return response


@never_cache
@require_http_methods(["GET", "HEAD"])
def follow_link(request: HttpRequest) -> HttpResponse:
    """GET /s/to?key=&to=: redirects to a domain that the key allows, with a token for the visitor's id if there is one.

    The id is read from a cookie, so that a page cannot request a token for another one.
    """
    key, target = handoff.sending_key(request.GET.get("key", "")), request.GET.get("to", "")
    if key is None or not handoff.is_allowed(target, key=key):
        return HttpResponseBadRequest("The key is not restricted to origins that include this link.")
    visitor_id = request.COOKIES.get(TWIN_COOKIE, "")
    if ID.fullmatch(visitor_id):
        target = handoff.with_token(target, visitor_id=visitor_id, key=key, request=request)
    return HttpResponseRedirect(target)
