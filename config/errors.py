"""The pages of what went wrong on our side."""

import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults

from audience.database.unavailable import is_unavailable

RETRY_AFTER_SECONDS = 30


def server_error(request: HttpRequest) -> HttpResponse:
    """503 with Retry-After while the database is away, full or takes no writes, else 500. Asks the database nothing."""
    if not is_unavailable(sys.exc_info()[1]):
        return defaults.server_error(request)
    # Without the request: the context of a page asks who is signed in.
    answer = render(None, "503.html", status=503)
    answer["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer
