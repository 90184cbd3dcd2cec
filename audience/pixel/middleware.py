"""Answers the routes of the web pixel without the middleware that pages need."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

ROUTES = "audience.pixel.urls"
PREFIX = "/s/"


class PixelMiddleware:
    """Placed in front of the sessions, which add `Vary: Cookie`: the browser would load the script again after every
    change of a cookie of the site that passes requests on.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        try:
            match = resolve(request.path_info, ROUTES)
        except Resolver404:
            return self.get_response(request)
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return response
