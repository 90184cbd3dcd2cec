"""Games by the management API, and the token itself."""

from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from audience.accounts import tokens
from audience.accounts.audit_log import entries
from audience.games import game_settings
from audience.models import Game, Membership, Role, Scope
from tests import factories, hub
from tests.management_api import Api, game_api, member_api, problem_of, user_api

pytestmark = pytest.mark.django_db


def administrator(name: str = "ada", **flags: bool) -> Any:
    return hub.user(name, **(flags or {"is_staff": True}))


# The token -------------------------------------------------------------------------------------------------------


def test_a_token_describes_itself_whatever_its_scope() -> None:
    game = factories.game()
    for scope in Scope:
        new = tokens.create_game_token(game=game, name="CI", role=Role.MARKETER, scopes=[scope])
        found = Api(new.value).get("token").json()
        assert found.pop("created_at").endswith("Z")
        assert found == {
            "name": "CI",
            "prefix": new.value[:12],
            "scopes": [scope],
            "state": "live",
            "game": game.slug,
            "role": "marketer",
            "user": None,
            "expires_at": None,
        }
    found = user_api(administrator(), (Scope.READ,)).get("token").json()
    assert (found["user"], found["game"], found["role"]) == ("ada@studio.example", None, None)


# Reading ---------------------------------------------------------------------------------------------------------


def test_a_member_sees_their_games_with_their_role_and_a_game_its_own() -> None:
    first, second, other = factories.game(), factories.game(), factories.game()
    user: Any = hub.user("ada")
    Membership.objects.create(game=first, user=user, role=Role.VIEWER)
    Membership.objects.create(game=second, user=user, role=Role.ADMIN)
    for game in (first, second):
        Membership.objects.create(game=game, user=hub.user(f"bo-{game.pk}"), role=Role.MARKETER)
    assert [(row["slug"], row["role"]) for row in user_api(user).get("games").json()["results"]] == [
        (second.slug, "admin"),
        (first.slug, "viewer"),
    ]
    found = game_api(other, Role.MARKETER, (Scope.MEMBERS,)).get("games").json()
    assert [(row["slug"], row["role"]) for row in found["results"]] == [(other.slug, "marketer")]
    root = user_api(administrator("root", is_superuser=True)).get("games?limit=2").json()
    assert [(row["slug"], row["role"]) for row in root["results"]] == [(other.slug, "admin"), (second.slug, "admin")]
    assert root["next_cursor"]


def test_the_list_of_games_takes_as_many_queries_for_twenty_as_for_two() -> None:
    user: Any = hub.user("ada")
    api = user_api(user)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert api.get("games").status_code == 200
        return len(captured)

    counts = []
    api.get("games")  # the first request also stores when the token was used
    for number in (2, 18):
        for _ in range(number):
            Membership.objects.create(game=factories.game(), user=user, role=Role.VIEWER)
        counts.append(queries())
    assert counts[0] == counts[1]


def test_a_game_has_an_etag_and_another_tenants_game_does_not_exist() -> None:
    game, other = factories.game(name="Sky Raiders", slug="sky-raiders"), factories.game()
    api = game_api(game, Role.VIEWER, (Scope.READ,))
    response = api.get("games/sky-raiders")
    found = response.json()
    assert found.pop("created_at").endswith("Z")
    assert found == {"slug": "sky-raiders", "name": "Sky Raiders", "role": "viewer"}
    assert response["ETag"].startswith('"')
    for slug in (other.slug, "no-such-game", "x" * 300):
        problem_of(api.get(f"games/{slug}"), 404)
        problem_of(game_api(game).patch(f"games/{slug}", {"name": "Mine"}), 404)
    problem_of(game_api(game, scopes=(Scope.KEYS,)).get("games"), 403)


# Creating --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [{"is_staff": True}, {"is_superuser": True}])
def test_an_administrator_creates_a_game_and_becomes_its_admin(flags: dict[str, bool]) -> None:
    user = administrator(**flags)
    api = user_api(user, (Scope.MEMBERS,))
    response = api.post("games", {"name": "Sky Raiders: Staging"}, idempotency_key="1")
    assert response.status_code == 201
    game = Game.objects.get()
    assert (game.name, game.slug) == ("Sky Raiders: Staging", "sky-raiders-staging")
    assert Membership.objects.get(game=game, user=user).role == Role.ADMIN
    assert response.json() == {**api.get(f"games/{game.slug}").json(), "role": "admin"}
    assert response["ETag"] == api.get(f"games/{game.slug}")["ETag"]
    again = api.post("games", {"name": "Sky Raiders: Staging"}, idempotency_key="1")
    assert (again.json(), again["ETag"]) == (response.json(), response["ETag"])
    assert Game.objects.count() == 1
    made = entries(game).filter(content_type__model="game").get()
    assert (made.actor, made.action) == (user, 0)


def test_others_create_no_game() -> None:
    game = factories.game()
    problem = problem_of(member_api(game, Role.ADMIN).post("games", {"name": "Mine"}), 403)
    assert problem["detail"] == "Only administrators of this installation can create games. Ask one of them."
    assert problem_of(game_api(game).post("games", {"name": "Mine"}), 403)["code"] == "missing_role"
    unscoped = user_api(administrator(), (Scope.READ, Scope.POSTBACKS))
    assert problem_of(unscoped.post("games", {"name": "Mine"}), 403)["code"] == "missing_scope"
    with override_settings(REQUIRE_MFA_FOR_ADMINS=True):
        problem = problem_of(user_api(administrator("bo")).post("games", {"name": "Mine"}), 403)
        assert problem["code"] == "missing_second_factor"
    assert Game.objects.get() == game


@override_settings(REQUIRE_MFA_FOR_ADMINS=True)
def test_a_superuser_without_the_required_second_factor_reads_no_list_of_games() -> None:
    problem = problem_of(user_api(administrator(is_superuser=True)).get("games"), 403)
    assert problem["code"] == "missing_second_factor"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 5}, "name"),
        ({"name": "!!!"}, "slug"),
        ({"name": "Sky", "slug": "TAKEN"}, "slug"),
        ({"name": "Taken"}, "slug"),
        ({"name": "Sky", "slug": "sky/../x"}, "slug"),
        ({"name": "Sky", "slug": "ünïcode"}, "slug"),
        ({"name": "Sky", "slug": "x" * 61}, "slug"),
        ({"name": "Sky", "created_by": 1}, "created_by"),
    ],
)
def test_an_invalid_game_is_refused_by_field(body: dict[str, Any], field: str) -> None:
    factories.game(name="Taken", slug="taken")
    problem = problem_of(user_api(administrator()).post("games", body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert Game.objects.count() == 1


# Renaming --------------------------------------------------------------------------------------------------------


def test_a_game_is_renamed_by_its_admins_unless_someone_else_renamed_it() -> None:
    game = factories.game(name="Sky Raiders", slug="sky-raiders")
    api = game_api(game)
    seen = api.get("games/sky-raiders")["ETag"]
    response = api.patch("games/sky-raiders", {"name": "Sky Raiders 2"}, if_match=f'"other", {seen}')
    assert (response.status_code, response.json()["name"]) == (200, "Sky Raiders 2")
    assert response["ETag"] == api.get("games/sky-raiders")["ETag"] != seen
    entry = entries(game).order_by("-pk")[0]
    assert (entry.changes, entry.actor_email) == ({"name": ["Sky Raiders", "Sky Raiders 2"]}, "Token “Script”")
    problem = problem_of(api.patch("games/sky-raiders", {"name": "Mine"}, if_match=seen), 412)
    assert problem["code"] == "changed"
    problem_of(api.patch("games/sky-raiders", {"name": "Mine"}, if_match=f"W/{seen}"), 412)
    for body in ({"name": ""}, {"slug": "other"}, {"name": None}):
        problem_of(api.patch("games/sky-raiders", body), 400)
    assert problem_of(game_api(game, Role.MARKETER).patch("games/sky-raiders", {"name": "Mine"}), 403)["code"] == (
        "missing_role"
    )
    game.refresh_from_db()
    assert game.name == "Sky Raiders 2"
    assert api.patch("games/sky-raiders", {"name": "Sky"}, if_match="*").status_code == 200
    assert api.patch("games/sky-raiders", {}).json()["name"] == "Sky"


def test_the_page_and_the_api_have_the_same_version_of_a_name() -> None:
    game = factories.game()
    seen = game_settings.version(game, game_settings.GENERAL)
    game_api(game).patch(f"games/{game.slug}", {"name": "Other"})
    with pytest.raises(game_settings.SettingsChanged):
        game_settings.rename_game(game=game, name="Mine", seen=seen)
