"""Properties of all pages: they render with and without data, with a strict policy and a bounded number of queries."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from audience.games.keys import create_key
from audience.models import Event, Game, Rejection, Role
from tests import factories, hub
from tests.queries import queries_of

EMPTY = {
    "": "Set up: 0 of 5 steps done",
    "start/": "Next: Create an API key.",
    "events/": "Waiting for the first event",
    "people/": "No players yet",
    "conversions/": "No conversions yet",
    "integrations/": "Not connected",
    "integrations/tiktok/": "No deliveries in this time range",
    "integrations/reddit/": "No deliveries in this time range",
    "keys/": "No API keys yet",
    "privacy/": "No erasures yet",
}
FORMS = ("keys/new/", "integrations/tiktok/add/", "integrations/reddit/add/")
OUTSIDE = ("/accounts/login/", "/accounts/password/reset/", "/accounts/signup/", "/nowhere/")


@pytest.fixture
def admin(game: Game) -> Client:
    return hub.member(game, Role.ADMIN)


@pytest.mark.parametrize("path", EMPTY)
def test_each_page_of_an_empty_game_names_the_next_step(game: Game, admin: Client, path: str) -> None:
    answer = admin.get(f"/g/{game.slug}/{path}")
    assert answer.status_code == 200
    assert EMPTY[path] in answer.content.decode()


@pytest.mark.parametrize("path", [*EMPTY, *FORMS])
def test_a_page_has_no_inline_code_and_a_strict_policy(game: Game, admin: Client, path: str) -> None:
    answer = admin.get(f"/g/{game.slug}/{path}")
    _is_strict(answer)
    page = answer.content.decode()
    assert '<html lang="en">' in page
    assert 'href="#main"' in page
    assert page.count('id="main"') == 1
    assert page.count("<h1") == 1
    assert page.count('name="viewport"') == 1


@pytest.mark.django_db
@pytest.mark.parametrize("url", OUTSIDE)
def test_a_page_outside_of_games_has_the_same_policy(client: Client, url: str) -> None:
    _is_strict(client.get(url))


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/admin/", "/admin/audience/game/", "/admin/audience/event/", "/accounts/email/"])
def test_the_admin_has_the_same_policy(url: str) -> None:
    _is_strict(hub.signed_in(hub.user("root", is_superuser=True, is_staff=True)).get(url))


def _is_strict(answer: Any) -> None:
    policy = answer["Content-Security-Policy"]
    assert {"script-src 'self'", "style-src 'self'", "default-src 'none'"} <= set(policy.split("; "))
    assert "unsafe" not in policy
    assert hub.inline_code(answer.content.decode()) == []


def test_a_missing_page_has_a_404_page(game: Game, admin: Client) -> None:
    answer = admin.get("/g/another-game/")
    assert answer.status_code == 404
    assert "Page not found" in answer.content.decode()


@pytest.mark.django_db
def test_signing_up_without_an_invitation_is_closed(client: Client) -> None:
    assert "Sign-up is closed" in client.get("/accounts/signup/").content.decode()


@pytest.mark.django_db
def test_too_many_failures_lock_the_account_for_a_while(client: Client) -> None:
    hub.user("ada")
    given = {"login": "ada@studio.example", "password": "wrong"}
    answers = [client.post("/accounts/login/", given) for _ in range(settings.AXES_FAILURE_LIMIT)]
    assert answers[0].status_code == 200
    locked = client.post("/accounts/login/", {**given, "password": hub.PASSWORD})
    assert locked.status_code == 429
    assert "Too many failed sign-ins" in locked.content.decode()
    assert "15 minutes" in locked.content.decode()


@pytest.mark.django_db
def test_signing_in_redirects_to_the_requested_page(client: Client) -> None:
    hub.user("ada")
    given = {"login": "ada@studio.example", "password": hub.PASSWORD}
    assert client.post("/accounts/login/?next=/g/x/keys/", {**given, "next": "/g/x/keys/"})["Location"] == "/g/x/keys/"


@pytest.mark.django_db
def test_signing_in_never_redirects_to_another_site(client: Client) -> None:
    hub.user("ada")
    given = {"login": "ada@studio.example", "password": hub.PASSWORD, "next": "https://evil.example/"}
    assert client.post("/accounts/login/", given)["Location"] == "/"


def _fill(game: Game, count: int) -> None:
    now = timezone.now()
    for number in range(count):
        Event.objects.create(
            game_id=game.pk,
            day=now.date(),
            message_id=f"{game.pk}-{count}-{number}",
            kind="track",
            name="purchase",
            user_id=f"user-{number}",
            event_at=now,
            received_at=now,
            dialect="immutable",
        )
        Rejection.objects.create(game=game, dialect="immutable", received_at=now, errors=[], raw={})
        create_key(game=game, name=f"key {number}")
        person = factories.person(game, user=f"user-{count}-{number}")
        conversion = factories.conversion(person, touch=factories.touch(person))
        config = game.postback_configs.first() or factories.config(game)
        delivery = conversion.deliveries.create(
            game=game,
            config=config,
            network="tiktok",
            trigger="purchase",
            event_id=str(number),
            event_at=now,
            dead_after=now + timedelta(days=28),
            config_version=1,
        )
        delivery.attempts.create(config=config, number=1, config_version=1, started_at=now)


@pytest.mark.parametrize("path", EMPTY)
def test_more_rows_need_no_more_queries(game: Game, admin: Client, path: str) -> None:
    _fill(game, 2)
    few = queries_of(lambda: admin.get(f"/g/{game.slug}/{path}"))
    _fill(game, 9)
    assert queries_of(lambda: admin.get(f"/g/{game.slug}/{path}")) <= few


@pytest.mark.parametrize("model", ["apikey", "event", "rejection", "person", "touch", "conversion"])
def test_more_rows_need_no_more_queries_in_the_admin(game: Game, model: str) -> None:
    root = hub.signed_in(hub.user("root", is_superuser=True, is_staff=True))
    _fill(game, 2)
    assert root.get(f"/admin/audience/{model}/").status_code == 200
    few = queries_of(lambda: root.get(f"/admin/audience/{model}/"))
    _fill(game, 9)
    assert queries_of(lambda: root.get(f"/admin/audience/{model}/")) <= few


def test_the_admin_shows_no_secret(game: Game) -> None:
    root = hub.signed_in(hub.user("root", is_superuser=True, is_staff=True))
    secret = create_key(game=game, name="backend")
    pages = [root.get(f"/admin/audience/apikey/{path}") for path in ("", f"{secret.key.pk}/change/")]
    assert all(page.status_code == 200 and secret.key.digest not in page.content.decode() for page in pages)


def test_a_time_is_shown_with_its_exact_moment() -> None:
    at = datetime(2020, 11, 3, 4, 5, 6, 789, tzinfo=UTC)
    shown = render_to_string("hub/parts/time.html", {"at": at})
    assert '<time datetime="2020-11-03T04:05:06+00:00" title="Nov 3, 2020, 04:05:06 UTC"\ntabindex="0">' in shown
    assert "years" in shown
    assert render_to_string("hub/parts/time.html", {"at": None}) == ""
