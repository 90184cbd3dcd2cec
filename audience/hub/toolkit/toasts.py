"""Adds Django's messages to htmx responses; full pages render them in their template."""

from collections.abc import Callable

from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from audience.hub.toolkit.access import HubRequest

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# With one of these headers htmx loads a page, which shows the messages.
REDIRECT_HEADERS = ("HX-Redirect", "HX-Refresh", "HX-Location")


class ToastMiddleware:
    """Appends the messages of a change to its htmx response, as out-of-band toasts.

    Not to GET requests: a self-refreshing list in another tab would consume the messages.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HubRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.htmx and request.method not in SAFE_METHODS and _is_fragment(response):
            texts = list(get_messages(request))
            if texts:
                response.write(render_to_string("hub/parts/toasts_swap.html", {"messages": texts}))
        return response


def _is_fragment(response: HttpResponse) -> bool:
    is_html = response.headers.get("Content-Type", "").startswith("text/html")
    return response.status_code == 200 and is_html and not any(name in response.headers for name in REDIRECT_HEADERS)
