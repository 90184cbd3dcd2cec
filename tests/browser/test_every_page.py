"""Every page in a browser, light and dark, at the widths of a phone, a tablet and a desktop: no violation found by
axe-core, no horizontal scrolling, and no violation of the Content-Security-Policy."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect

from audience.accounts import members
from audience.models import Game, Membership, Role
from postbacks.networks import NETWORKS
from tests import hub
from tests.browser import axe, operators, pages, rows
from tests.sdk.conftest import packages as packages

WIDTHS = {1440: 900, 768: 1024, 390: 844}
# (px, scheme, which rules): structure where there is most of it and where there is least room, color in both schemes.
Look = tuple[int, Literal["light", "dark"], dict[str, Any]]
LOOKS: list[Look] = [
    (1440, "light", {}),
    (1440, "dark", axe.COLOUR_RULES),
    (390, "dark", {}),
]
# For pages that differ from others in their rows and rights, not in their building.
BRIEF = LOOKS[:2]
SIDEWAYS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


@pytest.fixture
def axe_core(packages: Path) -> Path:
    return packages / "axe-core" / "axe.min.js"


def signed_in(page: Page, live_server: Any, person: Any) -> Client:
    """The window, and a client beside it, as this person. The sign-in form has tests of its own."""
    client = hub.signed_in(person)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    return client


def an_admin(game: Game, **given: Any) -> Any:
    person: Any = hub.user("admin", **given)
    Membership.objects.create(game=game, user=person, role=Role.ADMIN)
    return person


def all_well(page: Page, found: dict[str, str], axe_core: Path, looks: Sequence[Look] = LOOKS) -> None:
    """Fails with what is wrong with which page."""
    axe.load(page, axe_core)
    wrong = [f"{name}, {line}" for name, url in found.items() for line in _opened(page, url, looks=looks)]
    assert not wrong, "\n".join(wrong)


def _opened(page: Page, url: str, status: int = 200, looks: Sequence[Look] = LOOKS) -> Iterator[str]:
    answer = page.goto(url)
    if answer is None or answer.status != status:
        yield f"answered {answer and answer.status}"
        return
    yield from _seen(page, looks)


def _seen(page: Page, looks: Sequence[Look] = LOOKS) -> Iterator[str]:
    """What is wrong with the page that is open."""
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        content, window = page.evaluate(SIDEWAYS)
        if content > window:
            yield f"{width} px: {content - window} px stand out"
        for _, scheme, rules in (look for look in looks if look[0] == width):
            page.emulate_media(color_scheme=scheme)
            yield from (f"{width} px, {scheme}: {line}" for line in axe.violations(page, rules))


def test_every_page_of_the_hub_is_in_the_table() -> None:
    names, client = set(pages.of_the_hub()), Client()
    # A view that takes no OPTIONS says what it takes.
    taken = {name: client.options(pages.nonexistent(name, "none")).headers.get("Allow", "GET") for name in names}
    reading = {name for name, methods in taken.items() if "GET" in methods}
    assert reading - set(pages.ROW_OF) - set(pages.NO_PAGE) == set()
    assert {*pages.ROW_OF, *pages.NO_PAGE} - names == set()


def test_the_pages_of_a_busy_game(page: Page, live_server: Any, game: Game, other_game: Game, axe_core: Path) -> None:
    person = an_admin(game, is_staff=True, is_superuser=True)
    rows.fill(game)
    signed_in(page, live_server, person)
    found = pages.hub(game)
    assert set(pages.ROW_OF) - set(found) == set()
    all_well(page, found, axe_core)


def test_the_pages_of_an_empty_game(page: Page, live_server: Any, game: Game, axe_core: Path) -> None:
    signed_in(page, live_server, an_admin(game))
    found = pages.hub(game)
    assert len(found) > 20
    all_well(page, {name: url for name, url in found.items() if name != "game-new"}, axe_core, BRIEF)


def test_the_pages_that_a_viewer_may_open(page: Page, live_server: Any, game: Game, axe_core: Path) -> None:
    rows.fill(game)
    viewer: Any = hub.user("viewer")
    Membership.objects.create(game=game, user=viewer, role=Role.VIEWER)
    client = signed_in(page, live_server, viewer)
    found = {name: url for name, url in pages.hub(game).items() if client.get(url).status_code == 200}
    assert {"overview", "integration", "conversion", "person", "keys", "alerts"} <= set(found)
    all_well(page, found, axe_core, BRIEF)


def test_the_sign_in_pages(page: Page, live_server: Any, game: Game, axe_core: Path) -> None:
    found = pages.account(Client())
    assert {"account_login", "account_reset_password"} <= set(found)
    all_well(page, found, axe_core)


def test_the_pages_of_an_account(page: Page, live_server: Any, game: Game, axe_core: Path) -> None:
    client = signed_in(page, live_server, an_admin(game))
    found = pages.account(client)
    assert {"account_logout", "account_change_password"} <= set(found)
    all_well(page, found, axe_core)


@pytest.mark.parametrize("app", ["audience", "postbacks", "others"])
def test_the_pages_of_the_admin(page: Page, live_server: Any, game: Game, axe_core: Path, app: str) -> None:
    rows.fill(game)
    person = an_admin(game, is_staff=True, is_superuser=True)
    operators.fill(game, person)
    client = signed_in(page, live_server, person)
    found = pages.admin_site(client)
    mine = {name: url for name, url in found.items() if _part(name) == app}
    assert len(mine) > 20
    all_well(page, _told_apart(mine), axe_core, BRIEF)


def _told_apart(found: dict[str, str]) -> dict[str, str]:
    """Without the pages that one template makes for every model, but for the first of each kind."""
    kinds = {
        kind: [name for name in found if name.endswith(kind)] for kind in ("-history", "-delete", "-nothing-found")
    }
    repeated = {name for names in kinds.values() for name in names[1:]}
    return {name: url for name, url in found.items() if name not in repeated}


def _part(name: str) -> str:
    app = re.split("[_-]", name)[0]
    return app if app in {"audience", "postbacks"} else "others"


ACTIONS = (
    ("audience_person", "Erase"),
    ("audience_apikey", "Revoke"),
    ("audience_apikey", "Rotate"),
    ("postbacks_delivery", "Send again"),
    ("postbacks_postbackconfig", "Disable"),
    ("postbacks_postbackconfig", "Put on hold"),
    ("audience_membership", "Change role"),
    ("auth_group", "Delete selected groups"),
)


def test_the_confirmation_pages_of_the_admin(page: Page, live_server: Any, game: Game, axe_core: Path) -> None:
    rows.fill(game)
    person = an_admin(game, is_staff=True, is_superuser=True)
    operators.fill(game, person)
    signed_in(page, live_server, person)
    axe.load(page, axe_core)
    for model, action in ACTIONS:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(reverse(f"admin:{model}_changelist"))
        page.locator("#action-toggle").check()
        assert list(_seen(page)) == [], model
        page.get_by_label("Action:").select_option(action)
        page.get_by_role("button", name="Go", exact=True).click()
        page.wait_for_selector("#content form, #content-main form, .submit-row")
        assert page.get_by_role("link", name="Cancel").or_(page.get_by_text("No, take me back")).count() == 1
        assert list(_seen(page)) == [], action


@pytest.fixture
def error_window(browser: Browser, live_server: Any) -> Iterator[Page]:
    """A window that may read of a 404: the browser calls every such answer an error of the page."""
    context: BrowserContext = browser.new_context(base_url=live_server.url)
    yield context.new_page()
    context.close()


def test_the_error_pages_403_and_404(error_window: Page, live_server: Any, game: Game, axe_core: Path) -> None:
    viewer: Any = hub.user("viewer")
    Membership.objects.create(game=game, user=viewer, role=Role.VIEWER)
    signed_in(error_window, live_server, viewer)
    axe.load(error_window, axe_core)
    gone = [(f"/g/{game.slug}/{path}", 404) for path in pages.GONE.values()]
    for url, status in [("/nothing/", 404), (f"/g/{game.slug}/keys/new/", 403), *gone]:
        assert list(_opened(error_window, url, status)) == [], url


def test_the_error_page_500(error_window: Page, settings: Any, axe_core: Path) -> None:
    settings.ROOT_URLCONF = "tests.browser.broken"
    axe.load(error_window, axe_core)
    assert list(_opened(error_window, "/broken/", 500)) == []
    assert error_window.get_by_role("heading", name="Something went wrong").is_visible()


def test_the_pages_of_an_invitation_link(
    page: Page, error_window: Page, live_server: Any, game: Game, axe_core: Path
) -> None:
    invited = members.invite(game=game, email="new@studio.example", role=Role.MARKETER, invited_by=None)
    url = reverse("invitation", kwargs={"token": invited.token})
    all_well(page, {"signed out": url}, axe_core)
    expect(page.get_by_label("Password again")).to_be_visible()
    for name, button in (("new", "Join"), ("else", "")):
        signed_in(page, live_server, hub.user(name))
        all_well(page, {f"signed in as {name}": url}, axe_core)
        assert page.get_by_role("button", name=f"Join {game}").count() == bool(button)
    members.revoke(invitation=invited.invitation)
    axe.load(error_window, axe_core)
    assert list(_opened(error_window, url, 410)) == []
    assert list(_opened(error_window, url[:-2] + "/", 404)) == []


def test_axe_detects_a_violation(error_window: Page, axe_core: Path) -> None:
    """Else an axe that did not run would pass every page."""
    axe.load(error_window, axe_core)
    error_window.goto("about:blank")
    error_window.set_content("<html><title>x</title><body><input><img src=''></body></html>")
    found = " ".join(axe.violations(error_window))
    assert "image-alt" in found
    assert "label" in found
    assert "html-has-lang" in found


def test_a_violation_of_the_policy_is_detected(error_window: Page, live_server: Any) -> None:
    """The `page` fixture fails a test on such a line of the console."""
    said: list[str] = []
    error_window.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    error_window.goto("/accounts/login/")
    error_window.evaluate("document.body.setAttribute('style', 'color: red')")
    error_window.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))")
    error_window.wait_for_timeout(200)
    assert len(said) == 2, said
    assert all("Content Security Policy" in line for line in said)


@pytest.mark.parametrize("network", [kind for kind in NETWORKS if kind != pages.NETWORK])
def test_the_form_of_each_network(page: Page, live_server: Any, game: Game, axe_core: Path, network: str) -> None:
    signed_in(page, live_server, an_admin(game))
    found = {network: reverse("postback-add", kwargs={"slug": game.slug, "network": network})}
    all_well(page, found, axe_core, [(1440, "light", {}), (390, "dark", {})])
