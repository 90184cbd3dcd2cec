"""What all operations of the management API have in common, tried on keys."""

import threading
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db import connection
from django.test import override_settings

from audience.accounts import tokens
from audience.accounts.audit_log import entries
from audience.database import clock
from audience.games import keys
from audience.models import ApiKey, ApiToken, IdempotentRequest, KeyKind, Role, Scope
from tests import factories, hub
from tests.management_api import Api, game_api, member_api, problem_of, user_api

pytestmark = pytest.mark.django_db


def test_a_missing_token_is_answered_with_what_to_send() -> None:
    game = factories.game()
    response = Api("").get(f"games/{game.slug}/keys")
    problem = problem_of(response, 401)
    assert problem["detail"] == "Send a token of the management API: Authorization: Bearer aftk_…"
    assert problem["code"] == "not_authenticated"
    assert response["WWW-Authenticate"] == 'Bearer realm="management API"'
    assert problem["request_id"] == response["X-Request-ID"]


def test_a_key_of_the_ingestion_routes_is_refused_with_what_is_needed() -> None:
    game = factories.game()
    for kind in KeyKind:
        key = keys.create_key(game=game, name="Key", kind=kind)
        problem = problem_of(Api(key.value).get(f"games/{game.slug}/keys"), 401)
        assert problem["code"] == "api_key"
        assert "The management API needs a token" in problem["detail"]


def test_revoked_expired_and_unknown_tokens_are_refused() -> None:
    game = factories.game()
    new = tokens.create_game_token(game=game, name="CI", role=Role.ADMIN, scopes=[Scope.READ])
    assert problem_of(Api("aftk_" + "0" * 40).get(f"games/{game.slug}/keys"), 401)["code"] == "unknown_token"
    ApiToken.objects.filter(pk=new.token.pk).update(expires_at=clock.now())
    assert problem_of(Api(new.value).get(f"games/{game.slug}/keys"), 401)["code"] == "expired_token"
    ApiToken.objects.filter(pk=new.token.pk).update(expires_at=None)
    assert Api(new.value).get(f"games/{game.slug}/keys").status_code == 200
    tokens.revoke_token(token=ApiToken.objects.get(pk=new.token.pk))
    assert problem_of(Api(new.value).get(f"games/{game.slug}/keys"), 401)["code"] == "revoked_token"


def test_the_token_of_a_deactivated_account_is_refused() -> None:
    game = factories.game()
    api = member_api(game, Role.ADMIN)
    user = ApiToken.objects.get().user
    user.is_active = False
    user.save()
    assert problem_of(api.get(f"games/{game.slug}/keys"), 401)["code"] == "inactive_account"


def test_another_tenants_game_and_its_keys_do_not_exist() -> None:
    mine, other = factories.game(), factories.game()
    key = keys.create_key(game=other, name="Theirs").key
    for api in (game_api(mine), member_api(mine, Role.ADMIN)):
        for path in (
            f"games/{other.slug}/keys",
            f"games/{other.slug}/keys/{key.pk}",
            f"games/{mine.slug}/keys/{key.pk}",
        ):
            problem_of(api.get(path), 404)
        problem_of(api.post(f"games/{mine.slug}/keys/{key.pk}/revoke"), 404)
    key.refresh_from_db()
    assert key.is_live


def test_a_missing_scope_and_a_missing_role_are_named() -> None:
    game = factories.game()
    path = f"games/{game.slug}/keys"
    problem = problem_of(game_api(game, scopes=(Scope.PRIVACY,)).get(path), 403)
    assert (problem["code"], problem["detail"]) == ("missing_scope", "This token needs the scope `read` or `keys`.")
    problem = problem_of(game_api(game, scopes=(Scope.READ,)).post(path, {"name": "Key"}), 403)
    assert problem["detail"] == "This token needs the scope `keys`."
    for api in (game_api(game, Role.MARKETER), member_api(game, Role.MARKETER)):
        problem = problem_of(api.post(path, {"name": "Key"}), 403)
        assert problem["code"] == "missing_role"
        assert problem["detail"] == (f"This token has the role of a marketer of {game}. This requires an admin.")
    assert not ApiKey.objects.exists()


@override_settings(REQUIRE_MFA_FOR_ADMINS=True)
def test_an_admins_token_needs_the_second_factor_that_the_pages_need() -> None:
    game = factories.game()
    problem = problem_of(member_api(game, Role.ADMIN).get(f"games/{game.slug}/keys"), 403)
    assert problem["code"] == "missing_second_factor"
    assert game_api(game).get(f"games/{game.slug}/keys").status_code == 200


def test_unknown_fields_wrong_types_and_missing_values_are_named_together() -> None:
    game = factories.game()
    body = {"nam": "Key", "kind": "server", "rate_limit": "5", "allowed_origins": ["https://game.example", "nowhere"]}
    problem = problem_of(game_api(game).post(f"games/{game.slug}/keys", body), 400)
    found = {error["field"]: error["code"] for error in problem["errors"]}
    assert found == {
        "nam": "unknown_field",
        "name": "required",
        "rate_limit": "invalid_type",
        "allowed_origins.1": "invalid",
    }
    assert problem["detail"] == "4 values of the request are not valid."
    assert not ApiKey.objects.exists()


def test_an_unknown_parameter_is_refused_by_name() -> None:
    game = factories.game()
    api = game_api(game)
    key = keys.create_key(game=game, name="Key").key
    for path in ("keys?statu=live", f"keys/{key.pk}?expand=1"):
        problem = problem_of(api.get(f"games/{game.slug}/{path}"), 400)
        assert problem["errors"][0]["code"] == "unknown_parameter"
    assert problem_of(api.get(f"games/{game.slug}/keys?kind=nothing"), 400)["errors"][0]["field"] == "kind"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "nothing", None, {}, 404),
        ("PUT", "games/{game}/keys", {}, {}, 405),
        ("OPTIONS", "games/{game}/keys", None, {}, 405),
        ("GET", "games/{game}/keys", None, {"accept": "image/png"}, 406),
        ("POST", "games/{game}/keys", b"name=Key", {"content_type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "games/{game}/keys", b'{"name": ', {}, 400),
        ("POST", "games/{game}/keys", b'{"name": "a\\u0000b"}', {}, 400),
        ("POST", "games/{game}/keys", b'{"name": "\\ud800"}', {}, 400),
        ("POST", "games/{game}/keys", b"[]", {}, 400),
        ("POST", "games/{game}/keys", b"null", {}, 400),
        ("POST", "games/{game}/keys", b'{"name": "' + b"x" * 6_000_000 + b'"}', {}, 413),
        ("GET", "games/{game}/keys/99999999999999999999", None, {}, 404),
        ("GET", "games/{game}/keys/abc", None, {}, 404),
        ("GET", "games/{game}/keys/1%00", None, {}, 404),
    ],
)
def test_every_error_is_a_problem(method: str, path: str, body: Any, headers: dict[str, str], status: int) -> None:
    game = factories.game()
    response = game_api(game).send(method, path.format(game=game.slug), body, **headers)
    assert problem_of(response, status)["detail"]
    assert not ApiKey.objects.exists()


def test_a_failure_of_the_server_is_a_problem_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    game = factories.game()
    api = game_api(game)

    def fail(**values: Any) -> None:
        ApiKey.objects.create(game=game, name="Half", digest="x")
        raise RuntimeError("broken")

    monkeypatch.setattr(keys, "create_key", fail)
    problem = problem_of(api.post(f"games/{game.slug}/keys", {"name": "Key"}, idempotency_key="1"), 500)
    assert problem["code"] == "server_error"
    assert "broken" not in str(problem)
    assert not ApiKey.objects.exists()
    assert not IdempotentRequest.objects.exists()


def test_a_repeated_post_is_carried_out_once_and_answers_the_same() -> None:
    game = factories.game()
    api, path = game_api(game), f"games/{game.slug}/keys"
    first = api.post(path, {"name": "Key", "kind": "secret"}, idempotency_key="order-1")
    again = api.post(path, {"name": "Key", "kind": "secret"}, idempotency_key="order-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert ApiKey.objects.count() == 1
    assert first.json()["value"] not in IdempotentRequest.objects.get().answer
    problem = problem_of(api.post(path, {"name": "Other"}, idempotency_key="order-1"), 422)
    assert problem["code"] == "idempotency_key_reused"
    assert game_api(game).post(path, {"name": "Other"}, idempotency_key="order-1").status_code == 201


def test_a_refused_post_may_be_repeated_with_its_key() -> None:
    game = factories.game()
    api, path = game_api(game), f"games/{game.slug}/keys"
    problem_of(api.post(path, {"name": ""}, idempotency_key="1"), 400)
    assert api.post(path, {"name": "Key"}, idempotency_key="1").status_code == 201


def test_an_answer_is_kept_for_a_day() -> None:
    game = factories.game()
    api, path = game_api(game), f"games/{game.slug}/keys"
    api.post(path, {"name": "Key"}, idempotency_key="1")
    IdempotentRequest.objects.update(created_at=clock.now() - timedelta(hours=25))
    assert "Idempotent-Replayed" not in api.post(path, {"name": "Key"}, idempotency_key="1")
    assert ApiKey.objects.count() == 2


def test_an_idempotency_key_of_any_length_is_not_accepted() -> None:
    game = factories.game()
    problem = problem_of(
        game_api(game).post(f"games/{game.slug}/keys", {"name": "Key"}, idempotency_key="x" * 256), 400
    )
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert not ApiKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_requests_with_one_key_at_the_same_moment_are_carried_out_once() -> None:
    game = factories.game()
    api, path, answers = game_api(game), f"games/{game.slug}/keys", []

    def send() -> None:
        answers.append(api.post(path, {"name": "Key"}, idempotency_key="same"))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.content for answer in answers}) == 1
    assert ApiKey.objects.count() == 1


def test_pages_are_stable_while_keys_are_added() -> None:
    game = factories.game()
    made = [keys.create_key(game=game, name=f"Key {number}").key.pk for number in range(5)]
    api = game_api(game)
    first = api.get(f"games/{game.slug}/keys?limit=2").json()
    keys.create_key(game=game, name="Newer")
    path, _, query = first["next"].partition("?")
    assert path.endswith(f"/api/v1/games/{game.slug}/keys")
    assert parse_qs(query) == {"limit": ["2"], "cursor": [first["next_cursor"]]}
    second = api.get(f"games/{game.slug}/keys?{query}").json()
    third = api.get(f"games/{game.slug}/keys?limit=2&cursor={second['next_cursor']}").json()
    read = [row["id"] for page in (first, second, third) for row in page["results"]]
    assert read == made[::-1]
    assert (third["next"], third["next_cursor"]) == (None, None)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=", "cursor=abc", "cursor=%ff", "cursor=MTI"]
)
def test_an_invalid_limit_or_cursor_is_refused(query: str) -> None:
    game = factories.game()
    assert problem_of(game_api(game).get(f"games/{game.slug}/keys?{query}"), 400)["errors"][0]["field"] == query[:5] + (
        "r" if query.startswith("cursor") else ""
    )


@override_settings(API_REQUESTS_PER_MINUTE=2)
def test_a_token_has_a_limit_of_requests_and_every_answer_says_what_remains() -> None:
    game = factories.game()
    api, path = game_api(game), f"games/{game.slug}/keys"
    first = api.get(path)
    assert first["RateLimit-Policy"] == '"token";q=2;w=60'
    assert first["RateLimit"].startswith('"token";r=1;t=')
    problem_of(api.get(f"games/{game.slug}/keys/1"), 404)
    response = api.get(path)
    assert problem_of(response, 429)["code"] == "throttled"
    assert 1 <= int(response["Retry-After"]) <= 60
    assert response["RateLimit"].startswith('"token";r=0;t=')
    assert game_api(game).get(path).status_code == 200


@override_settings(API_REQUESTS_PER_MINUTE=3)
def test_refused_requests_count_for_the_limit() -> None:
    game = factories.game()
    api = game_api(game, Role.VIEWER, (Scope.READ,))
    answers = [api.post(f"games/{game.slug}/keys", {}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [403, 403, 403, 429, 429]
    assert answers[0]["RateLimit"].startswith('"token";r=2;t=')
    api = game_api(game)
    paths = ("games/nope/keys", "nothing", "nothing/at/all", "nothing", "games/nope/keys")
    answers = [api.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
    assert [answer["RateLimit"][:12] for answer in answers] == [f'"token";r={left};' for left in (2, 1, 0, 0, 0)]


def test_a_weak_etag_is_that_of_the_same_values() -> None:
    """A proxy that compresses an answer makes its ETag weak."""
    game = factories.game()
    api, path = game_api(game), f"games/{game.slug}"
    etag = api.get(path)["ETag"]
    problem_of(api.patch(path, {"name": "Other"}, if_match='W/"0"'), 412)
    assert api.patch(path, {"name": "Renamed"}, if_match=f'"0", W/{etag}').json()["name"] == "Renamed"
    problem_of(api.patch(path, {"name": "Other"}, if_match=f"W/{etag}"), 412)
    game.refresh_from_db()
    assert game.name == "Renamed"


def test_a_change_is_in_the_audit_log_with_who_made_it() -> None:
    game = factories.game()
    game_api(game).post(f"games/{game.slug}/keys", {"name": "By script"})
    user = hub.user("ada", is_superuser=True)
    user_api(user).post(f"games/{game.slug}/keys", {"name": "By Ada"})
    made = {entry.object_repr.partition(" (")[0]: entry for entry in entries(game).filter(content_type__model="apikey")}
    assert made["By script"].actor is None
    assert made["By script"].actor_email == "Token “Script”"
    assert made["By Ada"].actor == user


def test_making_rotating_revoking_and_expiring_a_token_is_in_the_audit_log() -> None:
    game = factories.game()
    ends = clock.now() + timedelta(days=30)
    made = tokens.create_game_token(game=game, name="CI", role=Role.ADMIN, scopes=[Scope.READ], expires_at=ends)
    tokens.rotate_token(token=made.token, overlap=timedelta(hours=1))
    tokens.revoke_token(token=ApiToken.objects.get(replaced_by=None))
    ApiToken.objects.filter(pk=made.token.pk).update(expires_at=clock.now())
    assert tokens.record_expired() == 1
    assert tokens.record_expired() == 0
    found = entries(game).filter(content_type__model="apitoken").order_by("timestamp", "pk")
    told = [
        (entry.get_action_display(), sorted(set(entry.changes) - {"expires_at"})) for entry in found if entry.action
    ]
    assert [entry.action for entry in found] == [0, 0, 1, 1, 1]
    assert told == [("update", ["replaced_by"]), ("update", ["revoked_at"]), ("update", ["state"])]
    assert made.value not in str([entry.changes for entry in found])
    assert made.token.digest not in str([entry.changes for entry in found])


def test_answers_are_not_cached() -> None:
    game = factories.game()
    assert game_api(game).get(f"games/{game.slug}/keys")["Cache-Control"] == "no-store"
