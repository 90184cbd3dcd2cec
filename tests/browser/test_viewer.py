"""A viewer in a real browser: every page that a viewer can open, and no action that changes something."""

from typing import Any

from django.conf import settings
from django.test import Client
from playwright.sync_api import Page

from audience.models import Game, Membership, Role
from tests import hub
from tests.browser import pages, rows

# Their own choice of mails, their own address, and the way out.
OWN = ("/alerts/choice/", "/accounts/email/", "/accounts/time-zone/", "/accounts/tokens/new/", "/accounts/logout/")
POSTING = """() => [
    ...[...document.forms].filter((form) => form.method === 'post').map((form) => form.action),
    ...[...document.querySelectorAll('[formaction]')].map((button) => button.formAction),
    ...['hx-post', 'hx-put', 'hx-patch', 'hx-delete'].flatMap((name) =>
        [...document.querySelectorAll(`[${name}]`)].map((one) => one.getAttribute(name))),
]"""
# SVG has links too.
LEADING = (
    "() => [...document.querySelectorAll('a[href]')].map((link) => new URL(link.getAttribute('href'), location).href)"
)
# The rows of the live list and all other folds, whose insides come when they open.
UNFOLD = "() => document.querySelectorAll('main details').forEach((one) => one.open = true)"


def a_viewer(page: Page, live_server: Any, game: Game) -> Client:
    """The window, and a client beside it, signed in as the same viewer."""
    person: Any = hub.user("viewer")
    Membership.objects.create(game=game, user=person, role=Role.VIEWER)
    client = hub.signed_in(person)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    return client


def test_nothing_that_a_viewer_is_offered_changes_anything(page: Page, live_server: Any, game: Game) -> None:
    """No form that posts but their own, no button that does, and no link that is answered with a refusal."""
    rows.fill(game)
    client = a_viewer(page, live_server, game)
    found = {name: url for name, url in pages.hub(game).items() if client.get(url).status_code == 200}
    assert {"overview", "events", "person", "conversion", "integration", "attempt", "keys", "alerts"} <= set(found)
    leading: dict[str, str] = {}
    for name, url in found.items():
        page.goto(url)
        page.evaluate(UNFOLD)
        page.wait_for_load_state("networkidle")
        posting = [at for at in page.evaluate(POSTING) if not at.endswith(OWN)]
        assert posting == [], f"{name} offers {posting}"
        for link in page.evaluate(LEADING):
            leading.setdefault(link.partition("#")[0], name)
    own = {
        link.removeprefix(live_server.url): name for link, name in leading.items() if link.startswith(live_server.url)
    }
    assert len(own) > 50
    answers = {link: client.get(link).status_code for link in own}
    assert {link: (status, own[link]) for link, status in answers.items() if status not in {200, 302}} == {}
