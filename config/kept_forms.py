"""A form that is posted after its session has ended: its user signs in, and finds it with its contents.

What was entered is kept in the new session, encrypted and without secrets, and shown once within an hour.
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
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import Resolver404, ResolverMatch, resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from audience.database import clock
from audience.database.encryption import decrypt, encrypt
from audience.hub.toolkit.access import HubRequest
from audience.intake.requests.caller import caller_ip
from config.form_filling import fill
from postbacks.networks import NETWORKS

SESSION_KEY = "kept_form"
KEPT_SECONDS = 60 * 60
# Of the names and values together; a larger form is not kept.
MAX_CHARACTERS = 64 * 1024
# Forms that are kept for one client in ten minutes, since anybody can post one.
MAX_KEPT = 30
KEPT_PERIOD_SECONDS = 600
SECRET_PARTS = {part.form_name for kind in NETWORKS.values() for part in kind.credential_fields if part.kind != "plain"}
SECRET_NAMES = re.compile(r"password|secret|token|test_code|^code$", re.IGNORECASE)
# Forms that are posted to another address than that of their page: URL name -> that of the page.
FORM_PAGES = {
    "dry-run-new": "postback-add",
    "dry-run": "postback-edit",
    "goal-row": "postback-add",
    "request-preview": "postback-add",
    "erase": "privacy",
    "person-erase": "person",
    "alert-choice": "alerts",
    "test-conversion": "integration",
    "settings-general": "game-settings",
    "settings-reports": "game-settings",
    "settings-rates": "game-settings",
    "settings-attribution": "game-settings",
}
# Requests that a form makes while a person types: the answer must not leave the page.
BACKGROUND = {"goal-row", "request-preview"}
KEPT = "Your session has ended. Sign in: what you entered is kept, except secrets."
NOT_KEPT = "Your session has ended, and nothing was saved. Sign in, then try again."
MAIN = re.compile(r"<main\b[^>]*>")


class KeptFormMiddleware:
    """Keeps forms that are redirected to the sign-in page, and fills them in afterwards.

    Answers 405 with a page, since a person sees it who opens the address of a form.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HubRequest) -> HttpResponse:
        kept = _kept_for(request)
        response = self.get_response(request)
        if request.method == "POST" and _leads_to_sign_in(response) and request.path not in _sign_in_pages():
            return _to_sign_in(request)
        if kept and response.status_code == 200 and not response.streaming:
            _restore(request, response, kept)
        if response.status_code == 405 and "text/html" in request.headers.get("Accept", ""):
            return _not_allowed(request, response)
        return response


def _leads_to_sign_in(response: HttpResponse) -> bool:
    location = urlsplit(response.headers.get("HX-Redirect") or response.headers.get("Location", ""))
    return location.path in _sign_in_pages() and "next=" in location.query


def _sign_in_pages() -> tuple[str, ...]:
    return reverse("account_login"), reverse("admin:login")


def _to_sign_in(request: HubRequest) -> HttpResponse:
    """Keep the form and redirect to the sign-in page, which leads to the page of the form."""
    page, name = _page_of(request), request.resolver_match.url_name if request.resolver_match else ""
    if request.htmx and name in BACKGROUND:
        return HttpResponse(status=204)
    entered = [(name, value) for name, values in request.POST.lists() for value in values if not _is_secret(name)]
    is_small = sum(len(name) + len(value) for name, value in entered) <= MAX_CHARACTERS
    if is_small and _may_keep(request):
        kept = {"page": page, "target": request.path, "entered": entered, "at": clock.now().timestamp()}
        request.session[SESSION_KEY] = encrypt(kept)
        messages.info(request, KEPT)
    else:
        messages.warning(request, NOT_KEPT)
    sign_in = redirect_to_login(page)
    return HttpResponseClientRedirect(sign_in.url) if request.htmx else sign_in


def _is_secret(name: str) -> bool:
    return name in SECRET_PARTS or SECRET_NAMES.search(name) is not None


def _may_keep(request: HttpRequest) -> bool:
    key = f"kept-forms:{caller_ip(request)}"
    cache.add(key, 0, KEPT_PERIOD_SECONDS)
    try:
        return bool(cache.incr(key) <= MAX_KEPT)
    except ValueError:  # expired in between
        return True


def _page_of(request: HubRequest) -> str:
    """Return the path, with query, of the page with the form that was posted."""
    match = request.resolver_match
    if match and (page := FORM_PAGES.get(match.url_name or "")):
        return reverse(page, kwargs=match.kwargs)
    if match is None or _answers_get(match):
        return request.get_full_path()
    sender = (request.htmx.current_url if request.htmx else None) or request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(sender, {request.get_host()}):
        parts = urlsplit(sender)
        sent_from = _resolve(parts.path)
        if sent_from and _answers_get(sent_from):
            return f"{parts.path}?{parts.query}" if parts.query else parts.path
    return reverse("overview", kwargs={"slug": match.kwargs["slug"]}) if "slug" in match.kwargs else reverse("games")


def _resolve(path: str) -> ResolverMatch | None:
    try:
        return resolve(path)
    except Resolver404:
        return None


def _answers_get(match: ResolverMatch) -> bool:
    """Whether the view answers GET. Views of other kinds than the Hub's have a form at their address."""
    return "GET" in getattr(match.func, "methods", ("GET",))


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
    if clock.now().timestamp() - kept["at"] > KEPT_SECONDS:
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
