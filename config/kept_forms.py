"""A form that is posted after its session has ended: its user signs in, and finds it with its contents.

What was entered is kept in the new session, encrypted and without secrets, and shown once within an hour, only to the
user who was signed in last on this browser.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.csrf import csrf_failure
from django_htmx.http import HttpResponseClientRedirect

from audience.database import clock
from audience.database.encryption import decrypt, encrypt
from audience.hub.toolkit.access import HubRequest
from audience.intake.requests.caller import caller_ip
from config.form_filling import fill
from config.form_pages import page_of
from postbacks.networks import NETWORKS

SESSION_KEY = "kept_form"
KEPT_SECONDS = 60 * 60
# A signed cookie: who was signed in last on this browser. Another user does not see what was entered.
USER_COOKIE = "form_user"
USER_COOKIE_SECONDS = 365 * 24 * 60 * 60
# Of the names and values together; a larger form is not kept.
MAX_CHARACTERS = 64 * 1024
# Forms that are kept for one client in ten minutes, since anybody can post one.
MAX_KEPT = 30
KEPT_PERIOD_SECONDS = 600
SECRET_PARTS = {part.form_name for kind in NETWORKS.values() for part in kind.credential_fields if part.kind != "plain"}
SECRET_NAMES = re.compile(r"password|secret|token|test_code|^code$", re.IGNORECASE)
# Requests that a form makes while a person types: the answer must not leave the page.
BACKGROUND = {"goal-row", "request-preview"}
KEPT = "Your session has ended. Sign in again. Your input is kept, except secrets."
NOT_KEPT = "Your session has ended, and nothing was saved. Sign in, then try again."
MAIN = re.compile(r"<main\b[^>]*>")


class KeptFormMiddleware:
    """Keeps forms that are redirected to the sign-in page, and fills them in afterward.

    Answers 405 with a page, since a person sees it who opens the address of a form.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HubRequest) -> HttpResponse:
        kept = _kept_for(request)
        response = self.get_response(request)
        if request.method == "POST" and _leads_to_sign_in(response) and _has_lost_its_session(request):
            return _to_sign_in(request)
        if kept and response.status_code == 200 and not response.streaming:
            _restore(request, response, kept)
        if response.status_code == 405 and "text/html" in request.headers.get("Accept", ""):
            return _not_allowed(request, response)
        _remember_user(request, response)
        return response


def token_refused(request: HubRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose CSRF token is refused (CSRF_FAILURE_VIEW).

    Signing in makes a new token, so that pages in other tabs are too old: their forms come back with their contents. A
    form of another site is refused, and never kept.
    """
    if request.headers.get("Origin") != f"{request.scheme}://{request.get_host()}" or request.path in _sign_in_pages():
        return csrf_failure(request, reason)
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if _is_in_background(request):
        return HttpResponse(status=204)
    page = page_of(request)
    _keep(request, page, user=str(request.user.pk))
    return HttpResponseClientRedirect(page) if request.htmx else redirect(page)


def _remember_user(request: HubRequest, response: HttpResponse) -> None:
    user = request.user  # None on the pages of the API documentation
    is_known = request.session.accessed and user is not None and user.is_authenticated
    if is_known and _last_user(request) != str(user.pk):
        response.set_signed_cookie(
            USER_COOKIE,
            str(user.pk),
            salt=USER_COOKIE,
            max_age=USER_COOKIE_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )


def _last_user(request: HttpRequest) -> str:
    """Return the id of the user who was signed in last on this browser; '' if that is not known."""
    return request.get_signed_cookie(USER_COOKIE, default="", salt=USER_COOKIE) or ""


def _has_lost_its_session(request: HubRequest) -> bool:
    """Whether nobody is signed in any more. A user without the right to a page of the admin is led away too."""
    return request.path not in _sign_in_pages() and not (request.user and request.user.is_authenticated)


def _leads_to_sign_in(response: HttpResponse) -> bool:
    location = urlsplit(response.headers.get("HX-Redirect") or response.headers.get("Location", ""))
    return location.path in _sign_in_pages() and "next=" in location.query


def _sign_in_pages() -> tuple[str, ...]:
    return reverse("account_login"), reverse("admin:login")


def _to_sign_in(request: HubRequest) -> HttpResponse:
    """Keep the form and redirect to the sign-in page, which leads to the page of the form."""
    if _is_in_background(request):
        return HttpResponse(status=204)
    page = page_of(request)
    if _keep(request, page, user=_last_user(request)):
        messages.info(request, KEPT)
    else:
        messages.warning(request, NOT_KEPT)
    sign_in = redirect_to_login(page)
    return HttpResponseClientRedirect(sign_in.url) if request.htmx else sign_in


def _is_in_background(request: HubRequest) -> bool:
    match = request.resolver_match
    return bool(request.htmx) and match is not None and match.url_name in BACKGROUND


def _keep(request: HttpRequest, page: str, *, user: str) -> bool:
    """Keep what was entered for the user with this id, '' for any; return whether it was kept."""
    entered = [(name, value) for name, values in request.POST.lists() for value in values if not _is_secret(name)]
    is_small = sum(len(name) + len(value) for name, value in entered) <= MAX_CHARACTERS
    if not is_small or not _may_keep(request):
        return False
    kept = {"page": page, "target": request.path, "entered": entered, "at": clock.now().timestamp(), "user": user}
    request.session[SESSION_KEY] = encrypt(kept)
    return True


def _is_secret(name: str) -> bool:
    return name in SECRET_PARTS or SECRET_NAMES.search(name) is not None


def _may_keep(request: HttpRequest) -> bool:
    key = f"kept-forms:{caller_ip(request)}"
    cache.add(key, 0, KEPT_PERIOD_SECONDS)
    try:
        return bool(cache.incr(key) <= MAX_KEPT)
    except ValueError:  # expired in between
        return True


def _kept_for(request: HubRequest) -> dict[str, Any] | None:
    """Return the kept form whose page this request asks for; None without one."""
    if request.method != "GET" or request.htmx or settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    if SESSION_KEY not in request.session or not request.user.is_authenticated:
        return None
    try:
        kept: dict[str, Any] = decrypt(request.session[SESSION_KEY])
    except ValidationError:  # a key was removed
        kept = {"page": "", "at": 0}
    is_of_another = kept.get("user", "") not in ("", str(request.user.pk))
    if is_of_another or clock.now().timestamp() - kept["at"] > KEPT_SECONDS:
        del request.session[SESSION_KEY]
        return None
    return kept if urlsplit(kept["page"]).path == request.path else None


def _restore(request: HttpRequest, response: HttpResponse, kept: dict[str, Any]) -> None:
    """Fill the form of the page once, and say at its top that nothing was saved."""
    if not response.headers.get("Content-Type", "").startswith("text/html"):
        return
    del request.session[SESSION_KEY]
    page = response.content.decode()
    filled = fill(page, path=request.path, target=kept["target"], entered=kept["entered"])
    note = render_to_string("hub/parts/kept_form.html", {"is_filled": filled != page})
    response.content = MAIN.sub(lambda main: main[0] + note, filled, count=1).encode()


def _not_allowed(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    page = render(request, "405.html", status=405)
    page.headers["Allow"] = response.headers.get("Allow", "")
    return page
