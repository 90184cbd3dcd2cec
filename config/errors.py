"""The pages for server errors."""

import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults

from audience.database.availability import is_unavailable

RETRY_AFTER_SECONDS = 30


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 503 with Retry-After if the database is unavailable, full or read-only, else 500. Makes no query."""
    if not is_unavailable(sys.exc_info()[1]):
        return defaults.server_error(request)
    # Without the request: the context processors would query the signed-in user.
    answer = render(None, "503.html", status=503)
    answer["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer
