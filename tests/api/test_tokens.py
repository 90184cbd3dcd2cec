"""Service tokens of a game by the management API."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audience.accounts import tokens
from audience.accounts.audit_log import entries
from audience.database import clock
from audience.models import ApiToken, Game, Role, Scope
from audience.models.keys import sha256_hex
from audience.models.tokens import TokenState
from tests import hub
from tests.management_api import Api, game_api, member_api, problem_of, user_api

pytestmark = pytest.mark.django_db
BODY = {"name": "CI", "role": "marketer", "scopes": ["keys", "read"], "expires_at": "2100-01-01T00:00:00+02:00"}


def token_of(game: Game, *scopes: Scope, name: str = "Other") -> ApiToken:
    return tokens.create_game_token(game=game, name=name, role=Role.ADMIN, scopes=scopes or tuple(Scope)).token


def test_a_token_is_created_with_its_value_once_and_an_audit_entry(game: Game) -> None:
    api, path = game_api(game), f"games/{game.slug}/tokens"
    response = api.post(path, BODY)
    assert response.status_code == 201
    made = response.json()
    value = made.pop("value")
    row = ApiToken.objects.get(name="CI")
    assert row.digest == sha256_hex(value)
    assert made.pop("created_at").endswith("Z")
    assert made == {
        "id": row.pk,
        "name": "CI",
        "prefix": value[:12],
        "role": "marketer",
        "scopes": ["read", "keys"],
        "state": "live",
        "created_by": None,
        "last_used_at": None,
        "expires_at": "2099-12-31T22:00:00Z",
        "revoked_at": None,
        "replaced_by": None,
    }
    assert value not in api.get(path).content.decode() + api.get(f"{path}/{row.pk}").content.decode()
    entry = entries(game).filter(content_type__model="apitoken").order_by("-pk")[0]
    assert (entry.actor_email, entry.object_repr) == ("Token “Script”", f"CI ({value[:12]}…)")
    assert Api(value).get("token").json()["role"] == "marketer"


def test_a_token_passes_on_only_the_scopes_that_it_has(game: Game) -> None:
    row = token_of(game)
    for api in (game_api(game, scopes=(Scope.MEMBERS, Scope.READ)), member_api(game, Role.ADMIN, (Scope.MEMBERS,))):
        problem = problem_of(api.post(f"games/{game.slug}/tokens", {**BODY, "scopes": ["members", "keys"]}), 400)
        assert problem["errors"] == [
            {
                "field": "scopes",
                "code": "refused",
                "message": "A token cannot pass on scopes that it does not have: `keys`.",
            }
        ]
        problem_of(api.post(f"games/{game.slug}/tokens/{row.pk}/rotate"), 400)
        assert api.post(f"games/{game.slug}/tokens", {**BODY, "scopes": ["members"]}).status_code == 201
    row.refresh_from_db()
    assert row.state == TokenState.LIVE
    assert not ApiToken.objects.filter(scopes__contains=["keys"]).exclude(pk=row.pk).exists()


def test_only_an_admin_creates_tokens_so_that_no_role_is_higher_than_its_own(game: Game) -> None:
    for api in (game_api(game, Role.MARKETER), member_api(game, Role.MARKETER)):
        for method, path in (("GET", "tokens"), ("POST", "tokens"), ("GET", "tokens/1"), ("POST", "tokens/1/rotate")):
            body = {**BODY, "role": "admin"} if method == "POST" else None
            problem = problem_of(api.send(method, f"games/{game.slug}/{path}", body), 403)
            assert problem["code"] == "missing_role"
    problem_of(game_api(game, scopes=(Scope.READ, Scope.KEYS)).post(f"games/{game.slug}/tokens", BODY), 403)
    assert not ApiToken.objects.filter(name="CI").exists()


def test_a_token_passes_on_no_later_end_than_its_own(game: Game) -> None:
    end = clock.now() + timedelta(hours=1)
    new = tokens.create_game_token(game=game, name="S", role=Role.ADMIN, scopes=[Scope.MEMBERS], expires_at=end)
    api, body = Api(new.value), {"name": "Made", "role": "admin", "scopes": ["members"]}
    for stated in ({}, {"expires_at": None}, {"expires_at": (end + timedelta(seconds=1)).isoformat()}):
        problem = problem_of(api.post(f"games/{game.slug}/tokens", {**body, **stated}), 400)
        assert problem["errors"][0]["field"] == "expires_at"
        assert problem["errors"][0]["message"] == (
            "A token cannot create a token that ends later than itself. State an end that is no later."
        )
    assert not ApiToken.objects.filter(name="Made").exists()
    made = api.post(f"games/{game.slug}/tokens", {**body, "expires_at": end.isoformat()})
    assert (made.status_code, ApiToken.objects.get(name="Made").expires_at) == (201, end)


def test_the_successor_of_a_token_ends_with_the_token_that_rotates_it(game: Game) -> None:
    end = clock.now() + timedelta(hours=1)
    new = tokens.create_game_token(game=game, name="S", role=Role.ADMIN, scopes=[Scope.MEMBERS], expires_at=end)
    later = tokens.create_game_token(
        game=game, name="L", role=Role.ADMIN, scopes=[Scope.MEMBERS], expires_at=end + timedelta(days=9)
    )
    for row in (token_of(game, Scope.MEMBERS), later.token, new.token):
        made = Api(new.value).post(f"games/{game.slug}/tokens/{row.pk}/rotate", {"overlap_hours": 24})
        assert (made.status_code, ApiToken.objects.get(pk=made.json()["id"]).expires_at) == (201, end)


def test_a_token_rotates_itself_with_an_overlap(game: Game) -> None:
    old = tokens.create_game_token(game=game, name="CI", role=Role.ADMIN, scopes=[Scope.MEMBERS])
    api, path = Api(old.value), f"games/{game.slug}/tokens/{old.token.pk}/rotate"
    response = api.post(path, {"overlap_hours": 1})
    assert response.status_code == 201
    made = response.json()
    assert (made["name"], made["role"], made["scopes"], made["state"]) == ("CI", "admin", ["members"], "live")
    listed = Api(made["value"]).get(f"games/{game.slug}/tokens").json()["results"]
    assert [(row["state"], row["replaced_by"]) for row in listed] == [("live", None), ("rotating", made["id"])]
    old.token.refresh_from_db()
    assert old.token.expires_at is not None
    assert timedelta(0) < clock.now() + timedelta(hours=1) - old.token.expires_at < timedelta(seconds=20)
    problem = problem_of(api.post(path), 409)
    assert problem["detail"] == "This token was revoked, has expired, or was rotated before."
    for hours in (-1, 169, "1", None, 10**30):
        problem_of(Api(made["value"]).post(path, {"overlap_hours": hours}), 400)
    assert ApiToken.objects.count() == 2


def test_a_token_is_revoked_at_once(game: Game) -> None:
    api, row = game_api(game), token_of(game)
    path = f"games/{game.slug}/tokens/{row.pk}/revoke"
    first = api.post(path).json()
    assert first["state"] == "revoked"
    assert api.post(path).json() == first
    problem_of(api.post(f"games/{game.slug}/tokens/{row.pk}/rotate"), 409)
    assert [found["name"] for found in api.get(f"games/{game.slug}/tokens?live=true").json()["results"]] == ["Script"]
    assert [found["name"] for found in api.get(f"games/{game.slug}/tokens?live=false").json()["results"]] == ["Other"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"role": "owner"}, "role"),
        ({"role": None}, "role"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "read"}, "scopes"),
        ({"scopes": ["all"]}, "scopes.0"),
        ({"scopes": ["read"] * 6}, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": 10**20}, "expires_at"),
        ({"user": 1}, "user"),
        ({"game": "other"}, "game"),
    ],
)
def test_an_invalid_token_is_refused_by_field(game: Game, change: dict[str, Any], field: str) -> None:
    problem = problem_of(game_api(game).post(f"games/{game.slug}/tokens", {**BODY, **change}), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert not ApiToken.objects.filter(name="CI").exists()


def test_tokens_of_members_and_of_other_games_are_not_found(game: Game, other_game: Game) -> None:
    user: Any = hub.user("ada", is_superuser=True)
    rows = [token_of(other_game), tokens.create_user_token(user=user, name="Laptop", scopes=[Scope.READ]).token]
    for api in (game_api(game), user_api(user)):
        for row in rows:
            for act in ("rotate", "revoke"):
                problem_of(api.post(f"games/{game.slug}/tokens/{row.pk}/{act}"), 404)
            problem_of(api.get(f"games/{game.slug}/tokens/{row.pk}"), 404)
    names = [row["name"] for row in game_api(game).get(f"games/{game.slug}/tokens").json()["results"]]
    assert set(names) == {"Script"}
    assert {ApiToken.objects.get(pk=row.pk).state for row in rows} == {TokenState.LIVE}


def test_more_than_fifty_tokens_that_work_are_a_conflict(game: Game) -> None:
    api = game_api(game)
    for number in range(49):
        token_of(game, Scope.READ, name=f"{number}")
    problem = problem_of(api.post(f"games/{game.slug}/tokens", BODY), 409)
    assert problem["detail"] == "There are already 50 tokens. Revoke one first."
    assert ApiToken.objects.count() == 50


def test_a_token_is_rotated_although_there_are_fifty(game: Game) -> None:
    api = game_api(game)
    rows = [token_of(game, Scope.READ, name=f"{number}") for number in range(49)]
    for row, hours in ((rows[0], 24), (rows[1], 0)):
        assert api.post(f"games/{game.slug}/tokens/{row.pk}/rotate", {"overlap_hours": hours}).status_code == 201
    assert ApiToken.objects.live().count() == 51
    problem_of(api.post(f"games/{game.slug}/tokens", BODY), 409)


def test_the_tokens_that_work_beside_their_successors_are_limited(game: Game) -> None:
    ApiToken.objects.bulk_create(
        ApiToken(game=game, name="Old", role=Role.VIEWER, scopes=["read"], digest=f"{number}", replaced_by=successor)
        for successor in [token_of(game, Scope.READ)]
        for number in range(50)
    )
    problem = problem_of(
        game_api(game).post(f"games/{game.slug}/tokens/{ApiToken.objects.get(name='Other').pk}/rotate"), 409
    )
    assert problem["detail"] == "50 tokens that were rotated still work. Revoke one of them first."


@pytest.mark.django_db(transaction=True)
def test_two_tokens_at_once_do_not_exceed_the_limit(game: Game) -> None:
    apis = [game_api(game) for _ in range(4)]
    for number in range(45):
        token_of(game, Scope.READ, name=f"{number}")
    answers: list[int] = []

    def create(api: Api) -> None:
        answers.append(api.post(f"games/{game.slug}/tokens", BODY).status_code)
        connection.close()

    threads = [threading.Thread(target=create, args=(api,)) for api in apis]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(answers), ApiToken.objects.live().count()) == ([201, 409, 409, 409], 50)


def test_the_list_takes_as_many_queries_for_thirty_tokens_as_for_three(game: Game) -> None:
    api, counts = game_api(game), []
    api.get("token")  # the first request also stores when the token was used
    for start, end in ((0, 3), (3, 30)):
        for number in range(start, end):
            values: dict[str, Any] = {"role": Role.VIEWER, "created_by": hub.user(f"creator-{number}")}
            tokens.create_game_token(game=game, name="CI", scopes=[Scope.READ], **values)
        with CaptureQueriesContext(connection) as captured:
            assert api.get(f"games/{game.slug}/tokens").status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1]
