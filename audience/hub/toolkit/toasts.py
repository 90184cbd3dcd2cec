"""Messages for answers to htmx: a full page shows them itself, a part of one brings them along."""

from collections.abc import Callable

from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from audience.hub.toolkit.access import HubRequest

READING = {"GET", "HEAD", "OPTIONS"}
# With one of these htmx swaps nothing and goes to a page, which shows the messages.
LEAVING = ("HX-Redirect", "HX-Refresh", "HX-Location")


class ToastMiddleware:
    """Append what a change has to say to the part that answers it, as toasts that htmx swaps into their corner.

    Not to an answer to reading: a list that refreshes itself in another tab would show, and use up, the messages of
    this one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HubRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.htmx and request.method not in READING and _is_part(response):
            said = list(get_messages(request))
            if said:
                response.write(render_to_string("hub/parts/toasts_swap.html", {"messages": said}))
        return response


def _is_part(response: HttpResponse) -> bool:
    is_html = response.headers.get("Content-Type", "").startswith("text/html")
    return response.status_code == 200 and is_html and not any(name in response.headers for name in LEAVING)
