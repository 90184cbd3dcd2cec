"""Tests of findings of a review of the management API. Each one fails until its finding is fixed."""

from datetime import date, timedelta

import pytest
from django.test import Client

from audience.accounts import tokens
from audience.accounts.audit_log import entries
from audience.database import clock
from audience.games.keys import NewKey
from audience.models import ApiToken, Game, Role, Scope
from audience.privacy import erasure, suppression
from postbacks.models import AdvertDay, Delivery
from tests import factories, hub
from tests.audience import immutable
from tests.management_api import Api, game_api, problem_of

pytestmark = pytest.mark.django_db


def test_a_token_passes_on_no_later_end_than_its_own(game: Game) -> None:
    end = clock.now() + timedelta(hours=1)
    new = tokens.create_game_token(game=game, name="S", role=Role.ADMIN, scopes=[Scope.MEMBERS], expires_at=end)
    body = {"name": "Forever", "role": "admin", "scopes": ["members"]}
    problem = problem_of(Api(new.value).post(f"games/{game.slug}/tokens", body), 400)
    assert problem["errors"][0]["field"] == "expires_at"
    assert not ApiToken.objects.filter(name="Forever").exists()


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


def test_trying_a_delivery_now_is_in_the_audit_log(game: Game) -> None:
    delivery = factories.delivery(factories.config(game))
    later = clock.now() + timedelta(minutes=5)
    Delivery.objects.filter(pk=delivery.pk).update(state="waiting", next_attempt_at=later)
    before = entries(game).count()
    assert game_api(game).post(f"games/{game.slug}/deliveries/{delivery.pk}/try-now").status_code == 200
    # One is that of the token.
    assert entries(game).count() == before + 2
