"""The short way in for wire routes: past the middleware that pages need and no SDK has a use for."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls.resolvers import RoutePattern

from audience.urls import urlpatterns

Respond = Callable[[HttpRequest], HttpResponseBase]

# Those with an argument in the address, and the `//` and trailing `/` of some SDKs, take the long way.
VIEWS: dict[str, Respond] = {
    f"/{entry.pattern}": entry.callback
    for entry in urlpatterns
    if isinstance(entry.pattern, RoutePattern) and not entry.pattern.converters
}


class IntakeMiddleware:
    """The outermost: sessions, CSRF, policies for pages and the like together take longer than taking an event in.

    A wire route authenticates by key and answers data, so none of them protects anything there. A request that has
    to be sent on to HTTPS goes the long way and is.
    """

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        view = VIEWS.get(request.path_info)
        if view is None or (settings.SECURE_SSL_REDIRECT and not request.is_secure()):
            return self.get_response(request)
        response = view(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if isinstance(response, HttpResponse):
            response.headers["Content-Length"] = str(len(response.content))
        return response
