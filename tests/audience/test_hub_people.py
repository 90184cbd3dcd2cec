"""People: search by any id or email address, and the page of a player."""

import re
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audience.models import Device, Erasure, Game, Group, Person, Role
from consent.models import ConsentDecision
from tests import factories, hub
from tests.audience.test_hub_events import event
from tests.queries import queries_of

EMAIL = "ada@players.example"
NOW = timezone.now()


@pytest.fixture
def ada(game: Game) -> Person:
    """A player with something in every list."""
    row = factories.person(
        game,
        anonymous="anon-ada",
        user="player-ada",
        traits={"email": EMAIL, "name": "Ada", "phone": "+15550104477", "plan": {"tier": 2}},
        trait_times={"email": (NOW - timedelta(days=1)).isoformat()},
    )
    factories.identity(row, namespace="email", value=EMAIL)
    Device.objects.create(game=game, person=row, device_id="phone-77", token="fcm-" + "secret" * 8)
    Group.objects.create(game=game, group_id="guild-red").members.add(row)
    click = factories.touch(row, page_url=f"https://x.example/?e={EMAIL}", campaign={"name": "autumn"})
    factories.conversion(row, touch=click, fanned_out_at=NOW, reason="consent")
    event(game, 1, user_id="player-ada", properties={"email": EMAIL})
    event(game, 2, user_id="somebody-else")
    for days, level in ((3, "none"), (1, "full")):
        ConsentDecision.objects.create(
            game_id=game.pk,
            anonymous_id="anon-ada",
            level=level,
            source="message" if level == "full" else "web",
            decided_at=NOW - timedelta(days=days),
        )
    return row


def listed(client: Client, game: Game, query: str) -> list[str]:
    page = client.get(f"/g/{game.slug}/people/", {"q": query}).content.decode()
    return re.findall(r'id="person-([0-9a-f-]{36})"', page)


@pytest.mark.parametrize(
    "query", ["player-ada", "anon-ada", "phone-77", EMAIL, EMAIL.upper(), " player-ada ", "\0player-ada"]
)
def test_a_player_is_found_by_any_id_and_by_email(game: Game, ada: Person, query: str) -> None:
    factories.person(game, user="other", traits={"email": "other@players.example"})
    assert listed(hub.member(game, Role.MARKETER), game, query) == [str(ada.pk)]


@pytest.mark.parametrize("query", ["player", "PLAYER-ADA", "players.example", "%", "nobody@players.example"])
def test_a_part_of_an_id_finds_no_player(game: Game, ada: Person, query: str) -> None:
    client = hub.member(game, Role.MARKETER)
    assert listed(client, game, query) == []
    assert "No players found" in client.get(f"/g/{game.slug}/people/", {"q": query}).content.decode()


def test_another_games_players_are_not_found(game: Game, other_game: Game, ada: Person) -> None:
    client = hub.member(other_game, Role.ADMIN)
    for query in ("", "player-ada", "phone-77", EMAIL):
        assert listed(client, other_game, query) == []


def test_the_newest_players_come_first_and_page_on(game: Game) -> None:
    rows = [factories.person(game, first_seen_at=NOW - timedelta(minutes=number)) for number in range(60)]
    client, url, seen = hub.member(game, Role.VIEWER), f"/g/{game.slug}/people/", []
    for _ in range(2):
        page = client.get(url).content.decode()
        seen += re.findall(r'id="person-([0-9a-f-]{36})"', page)
        older = re.search(r'href="(\?before=[^"]+)">Older', page)
        url = f"/g/{game.slug}/people/{older[1]}" if older else ""
    assert seen == [str(row.pk) for row in rows]
    assert url == ""


def test_the_list_shows_the_first_ids_of_a_player_with_many(game: Game) -> None:
    row = factories.person(game)
    for number in range(30):
        factories.identity(row, value=f"anon-{number}")
    factories.identity(row, namespace="user", value="player-1")
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/people/").content.decode()
    assert re.findall(r'mono">([^<]+)<', page) == ["player-1", "anon-0", "anon-1", "anon-2"]


def test_the_search_by_email_uses_its_index(ada: Person) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    # Of no game: of few rows the indexes by game would cost as little, and the plan hang on the statistics.
    assert "people_by_email" in Person.objects.with_email(EMAIL).explain()


def test_a_trait_of_any_length_can_be_stored(game: Game) -> None:
    assert factories.person(game, traits={"email": "".join(uuid.uuid4().hex for _ in range(3_000))}).pk


def test_the_page_of_a_player_shows_all_of_its_data(game: Game, ada: Person) -> None:
    page = hub.member(game, Role.MARKETER).get(f"/g/{game.slug}/people/{ada.pk}/").content.decode()
    for text in ("player-ada", "anon-ada", EMAIL, "&quot;tier&quot;: 2", "phone-77", "guild-red", "TikTok Ads"):
        assert text in page, text
    for text in ("autumn", "The player did not consent", "event_1", "Purchase"):
        assert text in page, text
    assert "Newest decision: <strong>Full</strong>" in page
    assert re.findall(r'data-label="Source">([^<]*)<', page) == ["stated with an event", "web"]
    assert "push token fcm-secr…" in page
    assert "secretsecret" not in page
    assert "event_2" not in page
    assert "Erase this player" not in page


@pytest.mark.parametrize("strict", [True, False])
def test_without_a_consent_decision_the_games_default_applies(game: Game, strict: bool) -> None:
    Game.objects.update(strict_consent=strict)
    row = factories.person(game, anonymous="anon-1")
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/people/{row.pk}/").content.decode()
    assert f"No decision was recorded, so <strong>{'None' if strict else 'Full'}</strong> is in force" in page


def test_a_viewer_sees_no_address_on_any_page_of_a_player(game: Game, ada: Person) -> None:
    factories.person(game, user="bob@players.example")
    viewer = hub.member(game, Role.VIEWER)
    for path in ("people/", f"people/{ada.pk}/", "people/?q=player-ada", "events/", "conversions/"):
        page = viewer.get(f"/g/{game.slug}/{path}").content.decode()
        assert not re.search(r"(ada|bob)(@|%40)players|5550104477", page), path
    assert "a…@players.example" in viewer.get(f"/g/{game.slug}/people/{ada.pk}/").content.decode()


def test_the_page_of_a_player_needs_no_more_queries_for_more_rows(game: Game, ada: Person) -> None:
    admin = hub.member(game, Role.ADMIN)
    few = queries_of(lambda: admin.get(f"/g/{game.slug}/people/{ada.pk}/"))
    for number in range(5):
        factories.identity(ada, value=f"more-{number}")
        factories.conversion(ada, touch=factories.touch(ada, click_id=f"click-{number}"))
        Device.objects.create(game=game, person=ada, device_id=f"device-{number}")
        event(game, 10 + number, anonymous_id=f"more-{number}")
    assert queries_of(lambda: admin.get(f"/g/{game.slug}/people/{ada.pk}/")) <= few


def test_a_merged_or_erased_player_shows_the_gone_page(game: Game) -> None:
    answer = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/people/{uuid.uuid4()}/")
    assert answer.status_code == 404
    page = answer.content.decode()
    assert "Player not found" in page
    assert "The player was merged or erased" in page
    assert 'name="q"' in page


def test_an_admin_erases_the_player_by_typing_the_id(game: Game, ada: Person) -> None:
    admin = hub.member(game, Role.ADMIN)
    assert "Enter player-ada to confirm" in admin.get(f"/g/{game.slug}/people/{ada.pk}/").content.decode()
    url = f"/g/{game.slug}/people/{ada.pk}/erase/"
    wrong = admin.post(url, {"confirmation": "player-ad"}, follow=True).content.decode()
    assert "This is not the ID of this player. Nothing was erased." in wrong
    assert not Erasure.objects.exists()
    page = admin.post(url, {"confirmation": "player-ada"}, follow=True).content.decode()
    assert "The erasure is in progress" in page
    erasure = Erasure.objects.get()
    assert (erasure.namespace, erasure.subject, erasure.requested_by) == ("user", "player-ada", "admin-of-sky-raiders")


def test_a_player_without_a_user_id_is_erased_by_an_anonymous_one(game: Game) -> None:
    row, admin = factories.person(game, anonymous="anon-1"), hub.member(game, Role.ADMIN)
    admin.post(f"/g/{game.slug}/people/{row.pk}/erase/", {"confirmation": "anon-1"})
    assert list(Erasure.objects.values_list("namespace", "subject")) == [("anonymous", "anon-1")]


def test_a_player_without_a_user_or_anonymous_id_cannot_be_erased(game: Game) -> None:
    row, admin = factories.person(game), hub.member(game, Role.ADMIN)
    assert "Erase this player" not in admin.get(f"/g/{game.slug}/people/{row.pk}/").content.decode()
    assert admin.post(f"/g/{game.slug}/people/{row.pk}/erase/", {"confirmation": ""}).status_code == 404
    assert not Erasure.objects.exists()
