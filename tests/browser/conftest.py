"""A browser, the site on a port, a Celery worker with the broker, and the sandbox networks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from django.db import connections
from playwright.sync_api import Browser, Page

from audience.models import Game, Membership, Role
from config.celery import app
from postbacks.sandbox.server import Sandbox
from tests import chromium, hub
from tests.network_urls import point_at


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    reason = chromium.missing()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def page(browser: Browser, live_server: Any) -> Iterator[Page]:
    """A new window; errors in its console (a policy violation, a script error) fail the test."""
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    window, errors = context.new_page(), []
    window.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    window.on("pageerror", lambda error: errors.append(str(error)))
    yield window
    context.close()
    assert errors == []


@pytest.fixture
def worker(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker in a thread, which has the test's settings and database."""
    # Otherwise the thread's connection stays open, and the database cannot be dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
        yield


@pytest.fixture
def sandbox(settings: Any) -> Iterator[Sandbox]:
    """The imitations of all networks on one port, to which the settings point."""
    with Sandbox(hold=2.0) as running:
        point_at(settings, running.url)
        yield running


@pytest.fixture
def marketer(page: Page, game: Game) -> Page:
    """The window, signed in through the form as a marketer of `game`."""
    return sign_in(page, game, Role.MARKETER)


@pytest.fixture
def admin(page: Page, game: Game) -> Page:
    return sign_in(page, game, Role.ADMIN)


def sign_in(page: Page, game: Game, role: Role) -> Page:
    person: Any = hub.user(role.value)
    Membership.objects.create(game=game, user=person, role=role)
    page.goto("/")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(hub.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/g/{game.slug}/")
    return page
