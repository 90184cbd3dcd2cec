"""Players and consent in the management API."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.utils import timezone

from audience.accounts.audit_log import entries
from audience.games.keys import NewKey
from audience.models import Device, Event, Game, Group, Identity, Person, Role, Scope
from consent.models import ConsentDecision, Level
from tests import factories, hub
from tests.audience import immutable
from tests.management_api import Api, game_api, member_api, problem_of, user_api
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def found(api: Api, game: Game, **query: Any) -> list[str]:
    response = api.get(f"games/{game.slug}/people?{urlencode(query)}")
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def test_players_are_listed_with_their_first_ids(game: Game) -> None:
    older = factories.person(game, user="older", first_seen_at=NOW - timedelta(days=1))
    player = factories.person(
        game, anonymous="anon-1", user="user-1", traits={"name": "Ada", "email": "ada@studio.example"}
    )
    (first, second) = game_api(game).get(f"games/{game.slug}/people").json()["results"]
    assert first == {
        "id": str(player.pk),
        "name": "Ada",
        "email": "ada@studio.example",
        "ids": [{"namespace": "user", "value": "user-1"}, {"namespace": "anonymous", "value": "anon-1"}],
        "first_seen_at": first["first_seen_at"],
        "last_seen_at": first["last_seen_at"],
    }
    assert second["id"] == str(older.pk)


def test_a_player_is_found_by_any_id_or_email_like_on_the_page(game: Game) -> None:
    player = factories.person(game, anonymous="anon-1", user="user-1", traits={"email": "Ada@studio.example"})
    factories.identity(player, namespace="steam", value="7656")
    Device.objects.create(game=game, person=player, device_id="device-1")
    factories.person(game, user="other")
    api = game_api(game)
    for text in ("anon-1", "user-1", "7656", "device-1", "ada@STUDIO.example"):
        assert found(api, game, q=text) == [str(player.pk)], text
    for text in ("user-", "%", "_", "'", "\\", "é" * 500):
        assert found(api, game, q=text) == [], text


def test_pages_are_stable_while_players_are_added(game: Game) -> None:
    rows = [factories.person(game, first_seen_at=NOW - timedelta(minutes=number)) for number in range(5)]
    api = game_api(game)
    first = api.get(f"games/{game.slug}/people?limit=3").json()
    factories.person(game)
    second = api.get(f"games/{game.slug}/people?limit=3&cursor={first['next_cursor']}").json()
    assert [row["id"] for page in (first, second) for row in page["results"]] == [str(row.pk) for row in rows]
    assert second["next"] is None


def test_the_number_of_queries_does_not_depend_on_the_number_of_players(game: Game) -> None:
    api = game_api(game)
    factories.person(game, user="user-0")
    found(api, game)
    few = queries_of(lambda: found(api, game, limit=200))
    for number in range(1, 30):
        factories.person(game, user=f"user-{number}")
    assert queries_of(lambda: found(api, game, limit=200)) == few


def test_a_player_has_what_the_page_shows(game: Game, key: NewKey) -> None:
    immutable.digest(
        key,
        immutable.click("anon-1", ttclid="T1", consentLevel="full"),
        immutable.identify("user-1", "anon-1", traits={"name": "Ada"}),
        immutable.purchase("user-1"),
    )
    player = Person.objects.get()
    Device.objects.create(game=game, person=player, device_id="device-1", token="a-long-push-token-of-a-device")
    group = Group.objects.create(game=game, group_id="guild-7")
    group.members.add(player)
    answer = game_api(game).get(f"games/{game.slug}/people/{player.pk}").json()
    assert (answer["id"], answer["traits"]) == (str(player.pk), {"name": "Ada"})
    assert answer["trait_times"]["name"].endswith("Z")
    ids = {(row["namespace"], row["value"], row["is_shared"], row["note"]) for row in answer["ids"]}
    assert ids == {("user", "user-1", False, ""), ("anonymous", "anon-1", False, "")}
    descriptions = {row["description"]: row for row in answer["linked_ids"]}
    assert set(descriptions) == {"first seen", "sent with a user ID"}
    identify = Event.objects.get(kind="identify")
    assert descriptions["sent with a user ID"]["event"] == {"id": identify.pk, "day": identify.day.isoformat()}
    assert [row["device_id"] for row in answer["devices"]] == ["device-1"]
    assert answer["devices"][0]["has_push_token"] is True
    assert "a-long-push-token" not in json.dumps(answer)
    assert [row["group_id"] for row in answer["groups"]] == ["guild-7"]
    assert [(row["network"], row["click_id"]) for row in answer["clicks"]] == [("tiktok", "T1")]
    assert [(row["event"], row["value"]) for row in answer["conversions"]] == [
        ("purchase", {"amount": "9.99", "currency": "USD"})
    ]
    assert sorted(row["kind"] for row in answer["events"]) == ["identify", "page", "track"]
    assert answer["consent"]["level"] == "full"
    assert [(row["anonymous_id"], row["source"]) for row in answer["consent"]["decisions"]] == [("anon-1", "message")]


def test_viewers_see_no_addresses(game: Game) -> None:
    player = factories.person(game, user="ada@studio.example", traits={"email": "ada@studio.example"})
    for role in (Role.VIEWER, Role.MARKETER):
        api = game_api(game, role)
        texts = [api.get(f"games/{game.slug}/people{path}").content.decode() for path in ("", f"/{player.pk}")]
        assert ["ada@studio.example" in text for text in texts] == [role == Role.MARKETER] * 2


def test_another_tenants_players_do_not_exist(game: Game, other_game: Game) -> None:
    theirs = factories.person(other_game, user="user-1", anonymous="anon-1")
    api = game_api(game)
    for path in (f"people/{theirs.pk}", f"people/{theirs.pk}/export", f"people/{uuid4()}", "people/x"):
        problem_of(api.get(f"games/{game.slug}/{path}"), 404)
    problem_of(api.get(f"games/{other_game.slug}/people"), 404)
    assert found(api, game, q="user-1") == []
    assert api.get(f"games/{game.slug}/consent?anonymous_id=anon-1").json()["results"] == []
    assert not entries(other_game).filter(content_type__model="person").exists()


def test_the_export_is_the_file_of_the_page_and_leaves_an_entry_in_the_audit_log(game: Game) -> None:
    player = factories.person(game, user="user-1", traits={"email": "ada@studio.example"})
    admin = hub.user("ada", is_superuser=True)
    response = user_api(admin).get(f"games/{game.slug}/people/{player.pk}/export")
    assert response["Content-Type"] == "application/json"
    assert (
        response["Content-Disposition"] == f'attachment; filename="player-{player.pk}-{timezone.now():%Y-%m-%d}.json"'
    )
    file = json.loads(b"".join(response.streaming_content))
    page = hub.signed_in(admin).post(f"/g/{game.slug}/privacy/people/{player.pk}/export/")
    of_page = json.loads(b"".join(page.streaming_content))
    assert {**file, "exported_at": ""} == {**of_page, "exported_at": ""}
    assert file["person"]["traits"] == {"email": "ada@studio.example"}
    made = entries(game).filter(content_type__model="person")
    assert [(entry.get_action_display(), entry.actor, entry.object_repr) for entry in made] == [
        ("access", admin, str(player.pk))
    ] * 2


def test_an_export_requires_an_admin_and_the_scope_privacy(game: Game) -> None:
    player = factories.person(game, user="user-1")
    path = f"games/{game.slug}/people/{player.pk}/export"
    assert problem_of(game_api(game, scopes=(Scope.READ,)).get(path), 403)["code"] == "missing_scope"
    for api in (game_api(game, Role.MARKETER), member_api(game, Role.MARKETER)):
        assert problem_of(api.get(path), 403)["code"] == "missing_role"
    assert not entries(game).filter(content_type__model="person").exists()


def decisions(api: Api, game: Game, anonymous_id: str) -> list[tuple[str, str]]:
    response = api.get(f"games/{game.slug}/consent?{urlencode({'anonymous_id': anonymous_id})}")
    return [(row["level"], row["source"]) for row in response.json()["results"]]


def test_a_consent_decision_is_recorded_like_one_of_a_client(game: Game, key: NewKey) -> None:
    player = factories.person(game, anonymous="anon-1", user="user-1")
    api = game_api(game)
    answer = api.put(f"games/{game.slug}/consent", {"anonymous_id": " anon-1", "level": "full", "source": "support"})
    body = answer.json()
    assert body == {
        "anonymous_id": "anon-1",
        "level": "full",
        "source": "support",
        "decided_at": body["decided_at"],
    }
    api.put(f"games/{game.slug}/consent", {"anonymous_id": "anon-1", "level": "none"})
    assert decisions(api, game, "anon-1") == [("none", "management API"), ("full", "support")]
    headers = {"x-immutable-publishable-key": key.value}
    client = hub.Client()
    assert client.get(f"{immutable.CONSENT}?anonymousId=anon-1", headers=headers).json() == {"status": "none"}
    made = entries(game).filter(content_type__model="person").order_by("pk")
    assert [(entry.object_repr, entry.changes, entry.actor_email) for entry in made] == [
        (str(player.pk), {"consent": ["Not set", "Full"]}, "Token “Script”"),
        (str(player.pk), {"consent": ["Full", "None"]}, "Token “Script”"),
    ]


def test_a_decision_is_recorded_for_an_id_without_a_player_in_its_canonical_form(game: Game) -> None:
    value = str(uuid4())
    api = game_api(game)
    api.put(f"games/{game.slug}/consent", {"anonymous_id": value.upper(), "level": "anonymous", "source": "message"})
    row = ConsentDecision.objects.get()
    assert (row.anonymous_id, row.level, row.source) == (value, Level.ANONYMOUS, "Message")
    assert decisions(api, game, value.upper()) == [("anonymous", "Message")]
    (entry,) = entries(game).filter(content_type__model="game", changes__has_key="consent")
    assert value not in f"{entry.object_repr} {entry.changes}"
    assert not Identity.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"level": "full"}, "anonymous_id"),
        ({"anonymous_id": "", "level": "full"}, "anonymous_id"),
        ({"anonymous_id": "\u200b", "level": "full"}, "anonymous_id"),
        ({"anonymous_id": "\ufffd", "level": "full"}, "anonymous_id"),
        ({"anonymous_id": "a\ufffdb", "level": "full"}, "anonymous_id"),
        ({"anonymous_id": "x" * 257, "level": "full"}, "anonymous_id"),
        ({"anonymous_id": 7, "level": "full"}, "anonymous_id"),
        ({"anonymous_id": "anon-1"}, "level"),
        ({"anonymous_id": "anon-1", "level": "not_set"}, "level"),
        ({"anonymous_id": "anon-1", "level": "full", "source": "x" * 129}, "source"),
        ({"anonymous_id": "anon-1", "level": "full", "decided_at": "2026-01-01T00:00:00Z"}, "decided_at"),
    ],
)
def test_a_decision_that_is_not_valid_is_refused(game: Game, body: dict[str, Any], field: str) -> None:
    problem = problem_of(game_api(game).put(f"games/{game.slug}/consent", body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert not ConsentDecision.objects.exists()
    assert not entries(game).filter(content_type__model="game", changes__has_key="consent").exists()


def test_reading_and_setting_consent_require_an_admin_and_the_scope_privacy(game: Game) -> None:
    path = f"games/{game.slug}/consent"
    body = {"anonymous_id": "anon-1", "level": "full"}
    for api, code in (
        (game_api(game, scopes=(Scope.READ,)), "missing_scope"),
        (game_api(game, Role.MARKETER), "missing_role"),
    ):
        assert problem_of(api.get(f"{path}?anonymous_id=anon-1"), 403)["code"] == code
        assert problem_of(api.put(path, body), 403)["code"] == code
    assert not ConsentDecision.objects.exists()
    problem = problem_of(game_api(game).get(path), 400)
    assert problem["errors"][0]["field"] == "anonymous_id"
    assert problem_of(game_api(game).get(f"{path}?id=1&anonymous_id=a"), 400)["errors"][0]["field"] == "id"
