"""The page of a form that was posted."""

from urllib.parse import urlsplit

from django.urls import Resolver404, ResolverMatch, resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from audience.hub.toolkit.access import HubRequest

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
    "cost-upload": "costs",
    "cost-columns": "costs",
    "steam-upload": "steam-numbers",
}


def page_of(request: HubRequest) -> str:
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
