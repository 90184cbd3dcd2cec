"""The audit log by the management API: the filters of its page, cursors and the CSV of the page."""

from datetime import timedelta
from typing import Any

import pytest
from auditlog.context import set_actor
from auditlog.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audience.accounts.audit_log import entries, record
from audience.database import clock
from audience.games.keys import create_key, revoke_key
from audience.models import Game, Role, Scope
from tests import factories, hub
from tests.management_api import Api, game_api, member_api, problem_of

pytestmark = pytest.mark.django_db


def listed(api: Api, game: Game, query: str = "") -> list[dict[str, Any]]:
    response = api.get(f"games/{game.slug}/audit-log{query}")
    assert response.status_code == 200, response.content
    rows: list[dict[str, Any]] = response.json()["results"]
    return rows


def test_an_entry_says_who_changed_what(game: Game) -> None:
    api = game_api(game)
    key = create_key(game=game, name="web").key
    api.post(f"games/{game.slug}/keys/{key.pk}/revoke")
    row = listed(api, game)[0]
    key.refresh_from_db()
    assert key.revoked_at is not None
    entry = entries(game).order_by("-pk")[0]
    assert row.pop("recorded_at").endswith("Z")
    assert row == {
        "id": entry.pk,
        "actor": {"id": "token:Script", "name": "Token “Script”", "token": ""},
        "address": "127.0.0.1",
        "kind": "apikey",
        "action": "update",
        "subject": {"id": str(key.pk), "name": f"web ({key.prefix}…)"},
        "changes": [{"field": "revoked_at", "before": None, "after": f"{key.revoked_at:%Y-%m-%dT%H:%M:%SZ}"}],
    }


def test_a_change_with_a_members_token_names_the_member_and_the_token(game: Game) -> None:
    api = member_api(game, Role.ADMIN)
    assert api.post(f"games/{game.slug}/keys", {"name": "Backend"}).status_code == 201
    user = game.memberships.get().user
    actor = {"id": str(user.pk), "name": user.email, "token": "Laptop"}
    assert next(row["actor"] for row in listed(api, game) if row["kind"] == "apikey") == actor
    page = hub.normalized_html(hub.signed_in(user).get(f"/g/{game.slug}/audit-log/").content.decode())
    assert "Token “Laptop”" in page
    csv = api.get(f"games/{game.slug}/audit-log", accept="text/csv")
    assert f"{user.email}, token “Laptop”" in b"".join(csv.streaming_content).decode()  # type: ignore[attr-defined]
    with set_actor(user):
        revoke_key(key=game.api_keys.get())
    assert listed(api, game)[0]["actor"] == {**actor, "token": ""}


def test_filters_are_those_of_the_page(game: Game) -> None:
    api, ada = game_api(game), hub.user("ada")
    with set_actor(ada):
        key = create_key(game=game, name="web").key
    api.patch(f"games/{game.slug}", {"name": "Renamed"})
    revoke_key(key=key)
    LogEntry.objects.filter(content_type__model="game").exclude(actor_email="Token “Script”").delete()
    told = {
        f"?actor={ada.pk}": [("apikey", "create")],  # type: ignore[attr-defined]
        "?actor=token:Script": [("game", "update")],
        "?actor=system": [("apikey", "update"), ("apitoken", "create")],
        "?actor=token:Other": [],
        "?actor=nobody": [],
        "?kind=apikey": [("apikey", "update"), ("apikey", "create")],
        "?kind=apikey&action=create": [("apikey", "create")],
        "?action=delete": [],
    }
    for query, expected in told.items():
        assert [(row["kind"], row["action"]) for row in listed(api, game, query)] == expected, query
    moment = (clock.now() - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    LogEntry.objects.filter(content_type__model="game").update(timestamp=clock.now() - timedelta(days=2))
    assert [row["kind"] for row in listed(api, game, f"?until={moment}")] == ["game"]
    assert "game" not in [row["kind"] for row in listed(api, game, f"?since={moment}")]
    assert listed(api, game, "?until=2000-01-01T00:00:00%2B23:59") == []


@pytest.mark.parametrize(
    "query",
    [
        "kind=nothing",
        "action=9",
        "since=yesterday",
        "since=0001-01-01T00:00:00%2B23:59",
        "who=1",
        "actor=%00",
        "format=csv",
    ],
)
def test_an_invalid_filter_is_refused_by_name(game: Game, query: str) -> None:
    problem = problem_of(game_api(game).get(f"games/{game.slug}/audit-log?{query}"), 400)
    assert problem["errors"][0]["field"] == query.partition("=")[0]


def test_pages_have_every_entry_once_in_a_constant_number_of_queries(game: Game) -> None:
    config = factories.config(game)
    for _ in range(70):
        record(game=game, subject=config, action=LogEntry.Action.UPDATE, changes={"enabled": ("True", "False")})
    api, seen, url, counts = game_api(game), [], f"games/{game.slug}/audit-log?limit=30", set()
    api.get("token")  # the first request also stores when the token was used
    while url:
        with CaptureQueriesContext(connection) as captured:
            answer = api.get(url.removeprefix("http://testserver")).json()
        counts.add(len(captured))
        seen += [row["id"] for row in answer["results"]]
        cursor = answer["next_cursor"]
        url = f"games/{game.slug}/audit-log?limit=30&cursor={cursor}" if cursor else ""
    assert seen == list(entries(game).order_by("-timestamp", "-pk").values_list("pk", flat=True))
    assert len(counts) == 1


def test_the_csv_is_that_of_the_page(game: Game) -> None:
    create_key(game=game, name="=cmd|' /C calc'!A0")
    api, admin = game_api(game), hub.member(game, Role.ADMIN)
    response = api.get(f"games/{game.slug}/audit-log?kind=apikey", accept="text/csv")
    assert (response.status_code, response["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert response["RateLimit-Policy"] == '"token";q=600;w=60'
    text = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    of_page = admin.get(f"/g/{game.slug}/audit-log/export/?kind=apikey&range=all")
    assert text == b"".join(of_page.streaming_content)  # type: ignore[attr-defined]
    assert text.startswith(b"time,who,address,kind,action,name,changes\r\n")
    assert b"'=cmd" in text
    problem_of(api.get(f"games/{game.slug}/audit-log?kind=none", accept="text/csv"), 400)


def test_only_admins_with_a_scope_read_it_and_only_of_their_game(game: Game, other_game: Game) -> None:
    create_key(game=other_game, name="theirs")
    for api in (game_api(game, Role.MARKETER), member_api(game, Role.MARKETER)):
        assert problem_of(api.get(f"games/{game.slug}/audit-log"), 403)["code"] == "missing_role"
    problem = problem_of(game_api(game, scopes=(Scope.KEYS,)).get(f"games/{game.slug}/audit-log"), 403)
    assert problem["detail"] == "This token needs the scope `read` or `members`."
    problem_of(game_api(game).get(f"games/{other_game.slug}/audit-log"), 404)
    assert "theirs" not in str(listed(game_api(game), game))


@pytest.mark.parametrize(
    "headers",
    [{"x_forwarded_port": "99999999999"}, {"x_forwarded_port": "-5"}, {"x_correlation_id": "x" * 300}],
)
def test_a_header_of_the_client_fails_no_change(game: Game, headers: dict[str, str]) -> None:
    assert game_api(game).post(f"games/{game.slug}/keys", {"name": "web"}, **headers).status_code == 201
    entry = entries(game).order_by("-pk")[0]
    assert (entry.remote_port, entry.cid) == (None, None)
