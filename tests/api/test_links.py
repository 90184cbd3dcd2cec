"""The tracking links of a game."""

import pytest
from django.utils import timezone

from audience.accounts.audit_log import entries
from audience.models import Game, LinkCount, Role, TrackingLink
from tests import factories
from tests.management_api import Api, game_api, problem_of

pytestmark = pytest.mark.django_db

STEAM = {"name": "Launch", "slug": "launch", "destination": "https://store.steampowered.com/app/480/"}


@pytest.fixture
def path(game: Game) -> str:
    return f"games/{game.slug}/links"


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game, Role.MARKETER)


def test_a_link_is_created_changed_archived_and_restored(api: Api, game: Game, path: str) -> None:
    made = api.post(path, {**STEAM, "utm_source": "tiktok"})
    assert made.status_code == 201
    link = made.json()
    assert (link["url"], link["kind"], link["consent"]) == ("http://127.0.0.1:8000/go/launch", "Steam", "game")
    assert (link["clicks"], link["last_click_at"], link["version"]) == (0, None, 1)
    assert {one["network"] for one in link["addresses"]} == {"tiktok", "reddit", "snapchat", "x", "meta", "google"}
    changed = api.patch(f"{path}/{link['id']}", {"consent": "anonymous"}).json()
    assert changed == {**link, "consent": "anonymous", "version": 2, "updated_at": changed["updated_at"]}
    assert api.post(f"{path}/{link['id']}/archive").json()["archived_at"]
    assert [row["id"] for row in api.get(f"{path}?archived=true").json()["results"]] == [link["id"]]
    assert api.get(f"{path}?archived=false").json()["results"] == []
    assert api.post(f"{path}/{link['id']}/restore").json()["archived_at"] is None
    changes = entries(game).filter(content_type__model="trackinglink")
    assert [entry.actor_email for entry in changes] == ["Token “Script”"] * 4


def test_a_link_has_its_clicks(api: Api, game: Game, path: str) -> None:
    link, now = factories.link(game), timezone.now()
    LinkCount.objects.create(game=game, link=link, day=now.date(), clicks=5, last_at=now)
    found = api.get(f"{path}/{link.pk}").json()
    assert (found["clicks"], found["last_click_at"][:19]) == (5, now.isoformat()[:19])


def test_an_edit_with_an_older_etag_is_refused(api: Api, game: Game, path: str) -> None:
    link = factories.link(game)
    etag = api.get(f"{path}/{link.pk}")["ETag"]
    assert api.patch(f"{path}/{link.pk}", {"name": "New"}, if_match=etag).status_code == 200
    problem_of(api.patch(f"{path}/{link.pk}", {"name": "Old"}, if_match=etag), 412)
    link.refresh_from_db()
    assert link.name == "New"


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"destination": "https://10.0.0.1/"}, 400, "destination"),
        ({"destination": "javascript:alert(1)"}, 400, "destination"),
        ({"slug": "a b"}, 400, "slug"),
        ({"consent": "all"}, 400, "consent"),
        ({"slug": "taken"}, 409, "slug"),
    ],
)
def test_a_link_that_is_not_valid_is_refused(
    api: Api, path: str, changes: dict[str, str], status: int, field: str
) -> None:
    factories.link(factories.game(), slug="taken")
    problem = problem_of(api.post(path, {**STEAM, **changes}), status)
    assert [one["field"] for one in problem["errors"]] == [field]
    assert TrackingLink.objects.count() == 1


def test_a_slug_cannot_be_changed(api: Api, game: Game, path: str) -> None:
    link = factories.link(game, slug="launch")
    assert problem_of(api.patch(f"{path}/{link.pk}", {"slug": "other"}), 400)["errors"][0]["code"] == "unknown_field"
    link.refresh_from_db()
    assert (link.slug, link.version) == ("launch", 1)
