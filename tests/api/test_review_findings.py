"""Tests of findings of a review of the management API. Each one fails until its finding is fixed."""

import asyncio
import base64
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client, override_settings

from audience.accounts import tokens
from audience.accounts.audit_log import entries
from audience.database import clock
from audience.games import keys
from audience.games.keys import NewKey
from audience.intake.asgi import IngestApp
from audience.models import ApiToken, Game, Role, Scope
from audience.privacy import erasure, suppression
from postbacks.models import AdvertDay, Delivery
from tests import factories, hub
from tests.audience import immutable
from tests.management_api import Api, game_api, problem_of

pytestmark = pytest.mark.django_db

CLICK = "E.C.P.1234567890abcdefghijklmn"
# PostgreSQL refuses offsets of 16 hours and more; datetime.fromisoformat accepts them.
FAR_OFFSET = "2026-01-01T00:00:00+23:59"


def cursor(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def test_a_token_passes_on_no_later_end_than_its_own(game: Game) -> None:
    end = clock.now() + timedelta(hours=1)
    new = tokens.create_game_token(game=game, name="S", role=Role.ADMIN, scopes=[Scope.MEMBERS], expires_at=end)
    body = {"name": "Forever", "role": "admin", "scopes": ["members"]}
    problem = problem_of(Api(new.value).post(f"games/{game.slug}/tokens", body), 400)
    assert problem["errors"][0]["field"] == "expires_at"
    assert not ApiToken.objects.filter(name="Forever").exists()


def test_two_changes_of_a_key_at_once_are_both_kept(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second request reads the key before the first one has committed, and states another restriction."""
    api, key, change = game_api(game), keys.create_key(game=game, name="A").key, keys.change_key
    path = f"games/{game.slug}/keys/{key.pk}"

    def after_another(**values: Any) -> None:
        monkeypatch.setattr(keys, "change_key", change)
        assert api.patch(path, {"allowed_addresses": ["192.0.2.0/24"]}).status_code == 200
        change(**values)

    monkeypatch.setattr(keys, "change_key", after_another)
    assert api.patch(path, {"allowed_events": ["purchase"]}).status_code == 200
    key.refresh_from_db()
    assert (key.allowed_events, key.allowed_addresses) == (["purchase"], ["192.0.2.0/24"])


def test_the_second_of_two_rotations_at_once_is_a_conflict(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    api, key, rotate = game_api(game), keys.create_key(game=game, name="A").key, keys.rotate_key
    path = f"games/{game.slug}/keys/{key.pk}/rotate"

    def after_another(**values: Any) -> NewKey:
        monkeypatch.setattr(keys, "rotate_key", rotate)
        assert api.post(path, {}).status_code == 201
        return rotate(**values)

    monkeypatch.setattr(keys, "rotate_key", after_another)
    problem_of(api.post(path, {}), 409)


@pytest.mark.parametrize(
    "name", ["keys", "members", "attempts", "deliveries", "conversions", "people", "replays", "alerts", "audit-log"]
)
def test_a_cursor_that_postgresql_cannot_read_is_refused(game: Game, name: str) -> None:
    for pk in ("5", "0d4a2b1c-6f7e-4c8d-9b10-11a2b3c4d5e6"):
        response = game_api(game).get(f"games/{game.slug}/{name}?cursor={cursor(f'{FAR_OFFSET}~{pk}')}")
        if response.status_code != 400:
            problem_of(response, 400)


@pytest.mark.parametrize("name", ["attempts", "deliveries", "conversions", "reports/overview", "reports/funnel"])
def test_a_period_with_a_far_offset_is_read_or_refused(game: Game, name: str) -> None:
    start, end = quote(FAR_OFFSET), quote(FAR_OFFSET.replace("01T", "02T"))
    response = game_api(game).get(f"games/{game.slug}/{name}?from={start}&to={end}")
    assert response.status_code in (200, 400)


@pytest.mark.parametrize("name", ["keys", "members", "invitations", "tokens"])
def test_an_id_of_any_length_is_not_found(game: Game, name: str) -> None:
    problem_of(game_api(game).get(f"games/{game.slug}/{name}/{'9' * 5_000}"), 404)


@pytest.mark.parametrize("depth", [260, 900])
def test_deep_json_is_refused(game: Game, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    validated = game_api(game).post(f"games/{game.slug}/validate", b'{"dialect":"rudderstack","body":' + deep + b"}")
    created = game_api(game).post(f"games/{game.slug}/keys", b'{"name":' + deep + b"}")
    assert created.status_code == 400
    assert validated.status_code in (200, 400)


def test_an_ad_without_a_name_can_be_stated(game: Game) -> None:
    """The document says: '' is the name of what a link does not name."""
    response = game_api(game).get(f"games/{game.slug}/reports/campaigns?network=tiktok&campaign=")
    assert response.status_code == 200, response.content


@override_settings(API_REQUESTS_PER_MINUTE=3)
def test_refused_requests_count_for_the_limit(game: Game) -> None:
    api = game_api(game, Role.VIEWER, (Scope.READ,))
    answers = [api.post(f"games/{game.slug}/keys", {}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [403, 403, 403, 429, 429]
    assert "RateLimit" in answers[0]
    assert game_api(game).get("games/nope/keys").has_header("RateLimit")


def test_validation_says_that_a_suppressed_player_is_refused(
    game: Game, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "TAKES_EFFECT", timedelta(0))
    api = game_api(game)
    factories.person(game, user="player-42", anonymous="anon-1")
    api.post(f"games/{game.slug}/erasures", {"namespace": "user", "subject": "player-42", "suppress": True})
    for _ in range(3):
        erasure.drain()
    body = {"key": key.key.pk, "body": {"messages": [immutable.message(userId="player-42")]}}
    (checked,) = api.post(f"games/{game.slug}/validate", body).json()["messages"]
    assert (checked["status"], [one["code"] for one in checked["violations"]]) == ("rejected", ["SUPPRESSED"])


def test_the_admin_changes_the_retention_of_a_game_only_after_a_confirmation(game: Game, client: Client) -> None:
    """The Hub and the API ask, and the API answers 409 `confirmation_required`."""
    client.force_login(hub.user("root", is_superuser=True, is_staff=True))
    client.post(f"/admin/audience/game/{game.pk}/change/", {**game_form(game), "kept_days": "31"})
    game.refresh_from_db()
    assert game.kept_days is None


def test_the_admin_marks_the_figures_of_another_time_zone(game: Game, client: Client) -> None:
    """Days of the former time zone stay in the reports otherwise (reporting/campaigns/refresh.mark_again)."""
    figures = {"number": 1, "players": 1, "sent": 0, "accepted": 0, "value": 0, "currency": "USD"}
    AdvertDay.objects.create(game_id=game.pk, day=date(2026, 11, 1), advert_id=0, trigger="purchase", **figures)
    client.force_login(hub.user("root", is_superuser=True, is_staff=True))
    changed = client.post(f"/admin/audience/game/{game.pk}/change/", {**game_form(game), "time_zone": "Asia/Tokyo"})
    assert changed.status_code == 302
    game.refresh_from_db()
    assert game.time_zone == "UTC" or not AdvertDay.objects.filter(game_id=game.pk).exists()


def game_form(game: Game) -> dict[str, str]:
    """The form of the admin's page of a game."""
    return {
        "name": game.name,
        "slug": game.slug,
        "attribution_window_days": "28",
        "network_windows": "{}",
        "untagged_fbclid_is_paid": "on",
        "time_zone": "UTC",
        "reporting_currency": "USD",
        "kept_days": "",
        "initial-network_windows": "{}",
        "memberships-TOTAL_FORMS": "0",
        "memberships-INITIAL_FORMS": "0",
    }


def test_a_body_over_the_limit_of_the_server_is_answered_as_a_problem() -> None:
    """Over a socket, the server answers before Django does."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def pages(*_: Any) -> None:
        raise AssertionError

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/api/v1/games/a/keys",
        "headers": [(b"content-length", b"6000000"), (b"authorization", b"Bearer aftk_x")],
        "query_string": b"",
    }
    asyncio.run(IngestApp(pages)(scope, None, send))
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"content-type"]) == (413, b"application/problem+json")


def test_trying_a_delivery_now_is_in_the_audit_log(game: Game) -> None:
    delivery = factories.delivery(factories.config(game))
    later = clock.now() + timedelta(minutes=5)
    Delivery.objects.filter(pk=delivery.pk).update(state="waiting", next_attempt_at=later)
    before = entries(game).count()
    assert game_api(game).post(f"games/{game.slug}/deliveries/{delivery.pk}/try-now").status_code == 200
    # One is that of the token.
    assert entries(game).count() == before + 2
