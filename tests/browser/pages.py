"""The list of all pages, for the browser tests and `make screenshots`.

A URL of the Hub whose name is in none of the tables below fails tests/browser/test_every_page.py.
"""

import datetime
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from audience.models import Game
from tests.browser import rows

NETWORK = "tiktok"

# The row of rows.newest() in the URL of each page; "" for pages of a game or network.
ROW_OF = {
    "games": "",
    "game-new": "",
    "imitations": "",
    "account": "",
    "account_email": "",
    "account_time_zone": "",
    "account_tokens": "",
    "account_token_new": "",
    "account_token_rotate": "own token",
    "account_token_revoke": "own token",
    "overview": "",
    "guide": "",
    "events": "",
    "event": "event",
    "rejection": "rejection",
    "people": "",
    "person": "person",
    "conversions": "",
    "conversion": "conversion",
    "campaigns": "",
    "campaign-players": "",
    "campaign-conversions": "",
    "cohorts": "",
    "costs": "",
    "cost-delete": "",
    "steam-numbers": "",
    "steam-delete": "",
    "game-settings": "",
    "integrations": "",
    "ad-clicks": "",
    "integration": "",
    "preview": "",
    "replays": "",
    "attempt": "attempt",
    "check": "check",
    "postback-add": "",
    "postback-edit": "config",
    "postback-history": "config",
    "postback-disable": "config",
    "postback-hold": "config",
    "postback-delete": "config",
    "dry-run": "config",
    "postback-copy": "config",
    "catalog": "",
    "catalog-describe": "",
    "links": "",
    "link": "link",
    "link-add": "",
    "link-edit": "link",
    "link-archive": "link",
    "goals": "",
    "goal-add": "",
    "goal-edit": "goal",
    "goal-delete": "goal",
    "alerts": "",
    "hook-add": "",
    "hook-change": "hook",
    "hook-rotate": "hook",
    "hook-delete": "hook",
    "joins": "",
    "joins-settings": "",
    "pixel": "",
    "keys": "",
    "key-new": "",
    "key-change": "key",
    "key-rename": "key",
    "key-rotate": "key",
    "key-revoke": "key",
    "tokens": "",
    "token-new": "",
    "token-rotate": "token",
    "token-revoke": "token",
    "members": "",
    "member-invite": "",
    "member-role": "membership",
    "member-remove": "membership",
    "privacy": "",
    "retention": "",
    "consent": "",
    "privacy-person": "person",
    "audit-log": "",
    "quality": "",
    "comparison": "",
    "deliveries": "",
    "help": "",
    "help-page": "",
}
# Arguments of no existing row, by the converter of the URL.
NONEXISTENT = {"UUIDConverter": uuid.UUID(int=1), "IntConverter": 1, "DayConverter": datetime.date(2026, 11, 21)}
# URLs that answer GET without a page.
NO_PAGE = {
    "conversion-funnel": "a part of the Conversions page",
    "conversions-export": "a file",
    "audit-log-export": "a file",
    "campaigns-export": "a file",
    "cohorts-export": "a file",
    "comparison-export": "a file",
    "delivery-log-export": "a file",
    "cost-sample": "a file",
    "steam-sample": "a file",
    "rates-sample": "a file",
    "catalog-event": "a redirect to the list; with a name, a page of STATES",
    "report-settings": "a redirect to the settings of the game",
    "link-qr": "a file",
    "event-counts": "a part of the Live events page",
    "document": "the earlier address of a document, which redirects",
    "help-source": "a file",
    "llms": "a file",
    "address-confirm": "for the owner of a link; tested in tests/audience",
    "invitation": "for the owner of a link; tested in tests/audience",
}
# Pages in another state, relative to the URL of the game.
STATES = {
    "events-rejected": "events/?status=rejected",
    "conversions-failed": "conversions/?only=failed",
    "conversions-nothing-found": "conversions/?q=nobody",
    "people-nobody-found": "people/?q=nobody",
    "integration-reddit": "integrations/reddit/",
    "postback-add-reddit": "integrations/reddit/add/",
    "overview-30-days": "?range=30d",
    "overview-last-night": "?from=2026-11-28&from_time=22:00&to=2026-11-29&to_time=06:00",
    "overview-no-dates": "?from=2026-11-21&to=2026-11-20",
    "integration-failed": "integrations/tiktok/?range=30d&state=failed&reason=credential",
    "integration-nothing-found": "integrations/tiktok/?q=nobody",
    "events-30-days": "events/?range=30d",
    "alerts-night": "alerts/?range=night",
    "keys-ended": "keys/?state=ended",
    "pixel-mistake": "pixel/?key=0&path=e",
    "catalog-event-purchase": "catalogue/event/?name=purchase",
    "catalog-event-not-sent": "catalogue/event/?name=level_up&range=24h",
    "catalog-nothing-found": "catalogue/?q=zebra",
    "catalog-describe-again": "catalogue/describe/?name=level_up",
}
# Pages of no game in another state.
HELP_STATES = {"help-found": "/help/?q=attribution+window", "help-nothing-found": "/help/?q=zebra"}
# Pages for deleted rows (404).
GONE = {
    "person-gone": "people/00000000-0000-4000-8000-000000000000/",
    "conversion-gone": "conversions/00000000-0000-4000-8000-000000000000/",
}


def patterns(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Yield (route, pattern) of every URL of the site."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = f"{prefix}{entry.pattern}"
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        else:
            yield route, entry


def of_the_hub() -> dict[str, URLPattern]:
    """Return the URL patterns of the Hub by name: those with a view in audience/hub or postbacks/hub."""
    packages = ("audience.hub", "postbacks.hub")
    return {str(entry.name): entry for _, entry in patterns() if entry.callback.__module__.startswith(packages)}


def hub(game: Game) -> dict[str, str]:
    """Return the URL of every Hub page for which the game has rows, by name."""
    present = rows.newest(game)
    entries = of_the_hub()
    urls = {name: _url(entries[name], game, present, row) for name, row in ROW_OF.items() if name in entries}
    states = {name: reverse("overview", kwargs={"slug": game.slug}) + path for name, path in STATES.items()}
    return {name: url for name, url in {**urls, **states, **HELP_STATES}.items() if url}


def _url(entry: URLPattern, game: Game, present: dict[str, Any], row: str) -> str:
    """Return the URL; '' if the row does not exist."""
    if row and present[row] is None:
        return ""
    arguments = {"slug": game.slug, "network": NETWORK, "name": "identity"}
    if row:
        arguments |= {"pk": present[row].pk, "day": getattr(present[row], "day", None)}
    return reverse(str(entry.name), kwargs={name: arguments[name] for name in entry.pattern.converters})


def nonexistent(name: str, slug: str) -> str:
    """Return the URL of the page in the game with this slug, for rows that do not exist."""
    known = {"slug": slug, "network": NETWORK}
    arguments = of_the_hub()[name].pattern.converters.items()
    kwargs = {key: known.get(key) or NONEXISTENT.get(type(converter).__name__, "x") for key, converter in arguments}
    return reverse(name, kwargs=kwargs)


def account(client: Client) -> dict[str, str]:
    """Return the URLs under /accounts/ that show a page to this client, by name."""
    named = {
        str(entry.name): f"/{route}"
        for route, entry in patterns()
        if route.startswith("accounts/") and not entry.pattern.converters and "<" not in route
    }
    return {name: url for name, url in named.items() if _is_page(client, url)}


def admin_site(client: Client) -> dict[str, str]:
    """Return every page of the admin that this client may open: the index, and those of apps and models."""
    urls = {"index": reverse("admin:index"), "password": reverse("admin:password_change")}
    for model, page in admin.site._registry.items():
        app = model._meta.app_label
        urls[app] = reverse("admin:app_list", kwargs={"app_label": app})
        urls |= _of_model(model, page)
    return {name: url for name, url in urls.items() if _is_page(client, url)}


def _of_model(model: type[Model], page: admin.ModelAdmin[Any]) -> dict[str, str]:
    """Return the model's list, a search without results, the form to add, and the pages of the newest row."""
    base = f"{model._meta.app_label}_{model._meta.model_name}"
    urls = {base: reverse(f"admin:{base}_changelist"), f"{base}-add": reverse(f"admin:{base}_add")}
    if page.search_fields:
        urls[f"{base}-nothing-found"] = f"{urls[base]}?q=00000000-0000-4000-8000-000000000000"
    row = model._default_manager.order_by("-pk").first()
    if row is not None:
        kinds = ("change", "history", "delete")
        urls |= {f"{base}-{kind}": reverse(f"admin:{base}_{kind}", args=[row.pk]) for kind in kinds}
    return urls


def _is_page(client: Client, url: str) -> bool:
    answer = client.get(url)
    return answer.status_code == 200 and answer.headers.get("Content-Type", "").startswith("text/html")
