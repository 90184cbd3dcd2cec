"""What an operation would ignore is refused by name: bodies, repeated parameters, preconditions and cut cursors."""

import gzip
import json
from datetime import timedelta
from typing import Any

import pytest

from audience.api.toolkit.filtering import NO_OFFSET, REPEATED
from audience.api.toolkit.unused_parts import NO_BODY, NO_ETAG
from audience.database import clock
from audience.games import keys
from audience.models import ApiKey, ApiToken, Game, IdempotentRequest, Membership, Role
from config.api_document import CachedGenerator
from postbacks.models import Replay
from tests import factories, hub
from tests.api.operations import routed
from tests.management_api import Api, game_api, problem_of

pytestmark = pytest.mark.django_db
WITH_BODY = ("POST", "PUT", "PATCH")


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game)


def codes(problem: dict[str, Any]) -> dict[str, str]:
    return {error["field"]: error["code"] for error in problem["errors"]}


def test_the_actions_without_a_body_are_those_of_the_document() -> None:
    paths = CachedGenerator().get_schema(request=None, public=True)["paths"]  # type: ignore[no-untyped-call]
    stated = {one.name for one in routed() if one.action in one.view.without_body}
    documented = {
        one.name
        for one in routed()
        if one.method in WITH_BODY and "requestBody" not in paths[f"/api/v1/{one.path}"][one.method.lower()]
    }
    assert stated == documented


def test_a_parameter_of_a_deletion_in_its_body_deletes_nothing(api: Api, game: Game) -> None:
    member = Membership.objects.create(game=game, user=hub.user("bob"), role=Role.VIEWER)
    path = f"games/{game.slug}/members/{member.pk}"
    problem = problem_of(api.send("DELETE", path, {"revoke_tokens": True}), 400)

    assert codes(problem) == {"revoke_tokens": "unknown_field"}
    assert Membership.objects.filter(pk=member.pk).exists()


def test_a_body_is_refused_where_none_is_read(api: Api, game: Game) -> None:
    key = keys.create_key(game=game, name="Web").key
    path = f"games/{game.slug}/keys/{key.pk}/revoke"
    assert codes(problem_of(api.post(path, {"force": True}), 400)) == {"force": "unknown_field"}
    assert problem_of(api.post(path, [1]), 400)["detail"] == NO_BODY
    assert problem_of(api.post(path, b"{", idempotency_key="one"), 400)["code"] == "malformed"
    assert problem_of(api.post(path, b"a=b", content_type="text/plain"), 415)
    assert codes(problem_of(api.send("GET", f"games/{game.slug}/keys", {"live": True}), 400)) == {
        "live": "unknown_field"
    }
    key.refresh_from_db()
    assert (key.revoked_at, IdempotentRequest.objects.count()) == (None, 0)

    assert api.post(path, {}, idempotency_key="two").status_code == 200
    assert api.post(path, {}, idempotency_key="two")["Idempotent-Replayed"] == "true"


def test_a_repeated_parameter_is_refused_by_name(api: Api, game: Game) -> None:
    for path in ("keys?kind=server&kind=secret", "conversions?only=failed&only=delivered"):
        problem = problem_of(api.get(f"games/{game.slug}/{path}"), 400)
        name = path.partition("?")[2].partition("=")[0]
        assert problem["errors"] == [{"field": name, "code": "repeated", "message": REPEATED}]


def test_a_precondition_that_is_not_checked_is_refused(api: Api, game: Game) -> None:
    config = factories.config(game)
    path = f"games/{game.slug}/postbacks/{config.pk}/pause"
    assert problem_of(api.post(path, if_match='"old"'), 400)["detail"] == NO_ETAG
    config.refresh_from_db()
    assert config.enabled
    assert api.post(path, if_match="*").status_code == 200


def test_a_time_without_an_offset_is_refused(api: Api, game: Game) -> None:
    config, end = factories.config(game), f"{clock.now() + timedelta(days=9):%Y-%m-%dT%H:%M:%S}"
    for path, body, name in (
        ("tokens", {"name": "CI", "role": "viewer", "scopes": ["read"], "expires_at": end}, "expires_at"),
        ("tokens", {"name": "CI", "role": "viewer", "scopes": ["read"], "expires_at": end[:10]}, "expires_at"),
        ("keys", {"name": "Web", "expires_at": end}, "expires_at"),
        ("replays", {"postback": str(config.pk), "failed_from": end}, "failed_from"),
    ):
        problem = problem_of(api.post(f"games/{game.slug}/{path}", body), 400)
        assert problem["errors"] == [{"field": name, "code": "no_offset", "message": NO_OFFSET}]
    for path in (
        "events?received_from=2026-11-30T08:00:00",
        "audit-log?since=2026-11-30",
        "audit-log?since=2026-11-30T08:00",
    ):
        assert problem_of(api.get(f"games/{game.slug}/{path}"), 400)["errors"][0]["code"] == "no_offset"
    assert (ApiKey.objects.count(), ApiToken.objects.count(), Replay.objects.count()) == (0, 1, 0)
    assert api.get(f"games/{game.slug}/audit-log?since=2026-11-30T08:00%2B01:00").status_code == 200


@pytest.mark.parametrize("cursor", ["!!!!", "%20%21", "a", "MjAyNg!!"])
def test_a_damaged_cursor_is_not_the_first_page(api: Api, game: Game, cursor: str) -> None:
    for path in ("keys", "events", "conversions", "deliveries", "costs"):
        problem = problem_of(api.get(f"games/{game.slug}/{path}?cursor={cursor}"), 400)
        assert codes(problem) == {"cursor": "invalid"}


def test_a_compressed_body_is_refused_with_a_sentence(api: Api, game: Game) -> None:
    body = gzip.compress(json.dumps({"name": "Web"}).encode())
    problem = problem_of(api.post(f"games/{game.slug}/keys", body, content_encoding="gzip"), 415)
    assert problem["detail"] == "Content-Encoding: gzip is not supported. Send the body without compression."
    assert not ApiKey.objects.exists()
