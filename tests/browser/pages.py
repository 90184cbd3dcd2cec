"""Every page there is, in one place: what the browser tests walk through and what `make screenshots` takes.

A Hub address whose name is in none of the tables below fails tests/browser/test_every_page.py.
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

# Which row of rows.newest() the address of a page names; "" for a page of the game, or of its network, as a whole.
ROW_OF = {
    "games": "",
    "game-new": "",
    "account": "",
    "account_email": "",
    "overview": "",
    "guide": "",
    "events": "",
    "event": "event",
    "rejection": "rejection",
    "people": "",
    "person": "person",
    "conversions": "",
    "conversion": "conversion",
    "integrations": "",
    "integration": "",
    "preview": "",
    "replays": "",
    "attempt": "attempt",
    "check": "check",
    "postback-add": "",
    "postback-edit": "config",
    "postback-history": "config",
    "postback-disable": "config",
    "postback-delete": "config",
    "dry-run": "config",
    "alerts": "",
    "hook-add": "",
    "hook-delete": "hook",
    "keys": "",
    "key-new": "",
    "key-change": "key",
    "key-rotate": "key",
    "key-revoke": "key",
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
}
# Rows that no game has, by the kind of the address's argument.
MADE_UP = {"UUIDConverter": uuid.UUID(int=1), "IntConverter": 1, "DayConverter": datetime.date(2026, 11, 21)}
# Addresses that answer GET, and with no page of their own.
NO_PAGE = {
    "conversion-pipeline": "a part of the Conversions page",
    "conversions-export": "a file",
    "audit-log-export": "a file",
    "event-counts": "a part of the Live events page",
    "address-confirm": "for whoever holds the link; tests/audience has its own tests",
    "invitation": "for whoever holds the link; tests/audience has its own tests",
}
# The same pages in another state, under the game's own address.
STATES = {
    "events-rejected": "events/?status=rejected",
    "conversions-failed": "conversions/?only=failed",
    "conversions-nothing-found": "conversions/?q=nobody",
    "people-nobody-found": "people/?q=nobody",
    "integration-reddit": "integrations/reddit/",
    "postback-add-reddit": "integrations/reddit/add/",
    "overview-30-days": "?range=30d",
    "keys-ended": "keys/?state=ended",
}
# And those that say that what was asked for is not here (404).
GONE = {
    "person-gone": "people/00000000-0000-4000-8000-000000000000/",
    "conversion-gone": "conversions/00000000-0000-4000-8000-000000000000/",
}


def patterns(found: URLResolver | None = None, way: str = "") -> Iterator[tuple[str, URLPattern]]:
    """(the whole route, its pattern) of every address the site has."""
    for entry in (found or get_resolver()).url_patterns:
        route = f"{way}{entry.pattern}"
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        else:
            yield route, entry


def of_the_hub() -> dict[str, URLPattern]:
    """The Hub's addresses by their names: those that a view of audience/hub or postbacks/hub answers."""
    homes = ("audience.hub", "postbacks.hub")
    return {str(entry.name): entry for _, entry in patterns() if entry.callback.__module__.startswith(homes)}


def hub(game: Game) -> dict[str, str]:
    """The address of every Hub page that this game has the rows for."""
    present = rows.newest(game)
    known = of_the_hub()
    found = {name: _address(known[name], game, present, row) for name, row in ROW_OF.items() if name in known}
    states = {name: reverse("overview", kwargs={"slug": game.slug}) + path for name, path in STATES.items()}
    return {name: url for name, url in {**found, **states}.items() if url}


def _address(entry: URLPattern, game: Game, present: dict[str, Any], row: str) -> str:
    """'' when the row is not there."""
    if row and present[row] is None:
        return ""
    given = {"slug": game.slug, "network": NETWORK}
    if row:
        given |= {"pk": present[row].pk, "day": getattr(present[row], "day", None)}
    return reverse(str(entry.name), kwargs={name: given[name] for name in entry.pattern.converters})


def made_up(name: str, slug: str) -> str:
    """The Hub address of that name in the game of that slug, with rows that nobody has."""
    given = {"slug": slug, "network": NETWORK}
    arguments = of_the_hub()[name].pattern.converters.items()
    kwargs = {key: given.get(key) or MADE_UP.get(type(converter).__name__, "x") for key, converter in arguments}
    return reverse(name, kwargs=kwargs)


def account(client: Client) -> dict[str, str]:
    """The addresses under /accounts/ that show a page to this browser."""
    named = {
        str(entry.name): f"/{route}"
        for route, entry in patterns()
        if route.startswith("accounts/") and not entry.pattern.converters and "<" not in route
    }
    return {name: url for name, url in named.items() if _is_page(client, url)}


def admin_site(client: Client) -> dict[str, str]:
    """Every page of the admin that this person may open: its front page, each app's, and each model's."""
    found = {"index": reverse("admin:index"), "password": reverse("admin:password_change")}
    for model, page in admin.site._registry.items():
        app = model._meta.app_label
        found[app] = reverse("admin:app_list", kwargs={"app_label": app})
        found |= _of_model(model, page)
    return {name: url for name, url in found.items() if _is_page(client, url)}


def _of_model(model: type[Model], page: admin.ModelAdmin[Any]) -> dict[str, str]:
    """Its list, the list of a search that finds nothing, the empty form, and the pages of its newest row."""
    base = f"{model._meta.app_label}_{model._meta.model_name}"
    found = {base: reverse(f"admin:{base}_changelist"), f"{base}-add": reverse(f"admin:{base}_add")}
    if page.search_fields:
        found[f"{base}-nothing-found"] = f"{found[base]}?q=00000000-0000-4000-8000-000000000000"
    row = model._default_manager.order_by("-pk").first()
    if row is not None:
        of_row = ("change", "history", "delete")
        found |= {f"{base}-{kind}": reverse(f"admin:{base}_{kind}", args=[row.pk]) for kind in of_row}
    return found


def _is_page(client: Client, url: str) -> bool:
    answer = client.get(url)
    return answer.status_code == 200 and answer.headers.get("Content-Type", "").startswith("text/html")
