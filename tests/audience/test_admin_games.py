"""The admin's page of a game: what changes there, and what only the Hub and the management API change."""

from datetime import date

import pytest
from django.test import Client

from audience.models import Game
from postbacks.models import AdvertDay
from tests import hub

pytestmark = pytest.mark.django_db
READ_ONLY = ("slug", "kept_days", "time_zone", "reporting_currency")


@pytest.fixture
def root() -> Client:
    return hub.signed_in(hub.user("root", is_staff=True, is_superuser=True))


def form(game: Game) -> dict[str, str]:
    """What the form posted with every field before some of them became read-only."""
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


def test_the_admin_does_not_change_what_has_consequences(game: Game, root: Client) -> None:
    """A retention is confirmed in the Hub, another time zone or currency computes the figures again there."""
    figures = {"number": 1, "players": 1, "sent": 0, "accepted": 0, "value": 0, "currency": "USD"}
    AdvertDay.objects.create(game_id=game.pk, day=date(2026, 11, 1), advert_id=0, trigger="purchase", **figures)
    slug = game.slug
    others = {"slug": "other", "kept_days": "31", "time_zone": "Asia/Tokyo", "reporting_currency": "EUR"}
    answer = root.post(f"/admin/audience/game/{game.pk}/change/", {**form(game), "name": "Sky Kings", **others})
    assert answer.status_code == 302
    game.refresh_from_db()
    assert (game.name, game.slug, game.kept_days) == ("Sky Kings", slug, None)
    assert (game.time_zone, game.reporting_currency) == ("UTC", "USD")
    assert AdvertDay.objects.filter(game_id=game.pk).exists()


def test_the_page_of_a_game_links_to_its_settings(game: Game, root: Client) -> None:
    page = root.get(f"/admin/audience/game/{game.pk}/change/").content.decode()
    assert f'<a href="/g/{game.slug}/settings/">settings page</a>' in page
    assert [name for name in READ_ONLY if f'name="{name}"' in page] == []
    assert 'name="strict_consent"' in page


def test_a_new_game_has_all_fields(root: Client) -> None:
    page = root.get("/admin/audience/game/add/").content.decode()
    assert [name for name in READ_ONLY if f'name="{name}"' not in page] == []
