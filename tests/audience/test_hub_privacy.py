"""The privacy page: looking up, exporting and erasing a player, and the receipts."""

import hashlib
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.utils import timezone

from audience.models import ActiveQuarter, Device, Erasure, Game, Group, Person, Role
from consent.models import ConsentDecision
from tests import factories, hub
from tests.audience.test_hub_events import event, rejection

GIVEN = {"namespace": "user", "subject": "user-1", "confirmation": "user-1"}


@pytest.fixture
def admin(game: Game) -> Client:
    return hub.member(game, Role.ADMIN)


def test_an_erasure_needs_the_id_typed_twice(game: Game, admin: Client) -> None:
    page = admin.post(f"/g/{game.slug}/privacy/erase/", GIVEN, follow=True).content.decode()
    assert "The erasure is in progress" in page
    erasure = Erasure.objects.get()
    assert (erasure.namespace, erasure.subject, erasure.requested_by) == ("user", "user-1", "admin-of-sky-raiders")
    assert erasure.subject_hash[:12] in page
    assert "user-1" not in page.replace("user-1-", "")


def test_two_different_ids_erase_no_player(game: Game, admin: Client) -> None:
    page = admin.post(f"/g/{game.slug}/privacy/erase/", {**GIVEN, "confirmation": "user-2"}).content.decode()
    assert "The IDs do not match. Nothing was erased." in page
    assert not Erasure.objects.exists()


def test_an_id_to_erase_is_not_stripped(game: Game, admin: Client) -> None:
    admin.post(f"/g/{game.slug}/privacy/erase/", {**GIVEN, "subject": " x ", "confirmation": " x "})
    assert Erasure.objects.get().subject == " x "


def test_evidence_of_a_hostile_sender_is_shown_as_text(game: Game, admin: Client) -> None:
    """Anyone can state any evidence with a public key; a template reads `items` as the value of that name."""
    evidence = {"items": 5, "tcf": "<script>alert(1)</script>", "nested": {"a": [1]}}
    decided = {"level": "full", "source": "message", "decided_at": timezone.now()}
    ConsentDecision.objects.create(game_id=game.pk, anonymous_id="anon-ada", evidence=evidence, **decided)
    answer = admin.get(f"/g/{game.slug}/privacy/", {"q": "anon-ada"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "items: 5" in page
    assert "tcf: &lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_members_other_than_admins_are_told_who_may_erase(game: Game) -> None:
    page = hub.member(game, Role.MARKETER).get(f"/g/{game.slug}/privacy/").content.decode()
    assert "Admins of the game can erase players here" in page
    assert "<form method" not in page.split("<main")[1]


PAYLOAD = {"data": [{"event": "Purchase", "user": {"email": "0" * 64}}]}


@pytest.fixture
def ada(game: Game) -> Person:
    """A player with one of everything, and a credential on the postback beside it."""
    row = factories.person(game, anonymous="anon-ada", user="player-ada", traits={"email": "ada@players.example"})
    Device.objects.create(game=game, person=row, device_id="phone-77", token="fcm-" + "secret" * 8)
    Group.objects.create(game=game, group_id="guild-red").members.add(row)
    config = factories.config(game, credential={"token": "the-postback-token"})
    click = factories.touch(row)
    sent = factories.delivery(config, conversion=factories.conversion(row, touch=click), state="delivered")
    factories.attempt(sent, payload=PAYLOAD)
    event(game, 1, user_id="player-ada", properties={"email": "ada@players.example", "password": "hunter2"})
    event(game, 2, user_id="somebody-else")
    refused = rejection(game, 3)
    refused.subjects = ["player-ada"]
    refused.save()
    decided("anon-ada", game)
    for moment in (datetime(2026, 11, 1, 9, 0, tzinfo=UTC), datetime(2026, 11, 2, 10, 15, tzinfo=UTC)):
        ActiveQuarter.objects.create(game_id=game.pk, person_id=row.pk, starts_at=moment)
    return row


def decided(anonymous: str, game: Game, level: str = "full", ago: timedelta = timedelta(days=1)) -> ConsentDecision:
    return ConsentDecision.objects.create(
        game_id=game.pk, anonymous_id=anonymous, level=level, source="web-sdk", decided_at=timezone.now() - ago
    )


def exported(client: Client, game: Game, person: Person) -> Any:
    answer = client.post(f"/g/{game.slug}/privacy/people/{person.pk}/export/")
    assert answer.status_code == 200
    return answer, b"".join(answer.streaming_content).decode()


@pytest.mark.parametrize("query", ["player-ada", "anon-ada", "phone-77", "ada@players.example"])
def test_a_player_is_looked_up_by_any_id(game: Game, admin: Client, ada: Person, query: str) -> None:
    page = admin.get(f"/g/{game.slug}/privacy/", {"q": query}).content.decode()
    assert f"/g/{game.slug}/privacy/people/{ada.pk}/" in page


def test_the_consent_history_of_an_id_without_a_player_is_shown(game: Game, other_game: Game, admin: Client) -> None:
    decided("anon-9", game, "none", timedelta(days=3))
    decided("anon-9", game, "anonymous")
    decided("anon-9", other_game, "full")
    page = admin.get(f"/g/{game.slug}/privacy/", {"q": "anon-9"}).content.decode()
    assert "No players found" in page
    assert re.findall(r'data-label="Level">([^<]+)<', page) == ["Anonymous", "None"]
    assert page.count("web-sdk") == 2


def test_members_other_than_admins_cannot_look_up_players(game: Game, ada: Person) -> None:
    for role in (Role.VIEWER, Role.MARKETER):
        client = hub.member(game, role)
        page = client.get(f"/g/{game.slug}/privacy/", {"q": "player-ada"}).content.decode()
        assert str(ada.pk) not in page
        assert "Look up a player" not in page
        assert client.get(f"/g/{game.slug}/privacy/people/{ada.pk}/").status_code == 403
        assert client.post(f"/g/{game.slug}/privacy/people/{ada.pk}/export/").status_code == 403
    assert not LogEntry.objects.filter(action=LogEntry.Action.ACCESS).exists()


def test_the_privacy_page_counts_every_kind_of_row(game: Game, admin: Client, ada: Person) -> None:
    page = admin.get(f"/g/{game.slug}/privacy/people/{ada.pk}/").content.decode()
    counts = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page))
    assert counts == {
        "Traits": "1",
        "IDs": "2",
        "Events": "1",
        "Clicks": "1",
        "Conversions": "1",
        "Deliveries": "1",
        "Devices": "1",
        "Groups": "1",
        "Consent decisions": "1",
        "Rejected messages": "1",
    }
    assert "Enter player-ada to confirm" in page


def test_the_download_contains_all_data_and_no_credential(game: Game, admin: Client, ada: Person) -> None:
    answer, text = exported(admin, game, ada)
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"].startswith(f'attachment; filename="player-{ada.pk}-')
    file = json.loads(text)
    assert file["format"] == "afterclick.person/1"
    assert file["game"] == {"name": "Sky Raiders", "slug": "sky-raiders"}
    assert file["person"]["traits"] == {"email": "ada@players.example"}
    assert {row["value"] for row in file["identities"]} == {"anon-ada", "player-ada"}
    assert [row["device_id"] for row in file["devices"]] == ["phone-77"]
    assert [row["group_id"] for row in file["groups"]] == ["guild-red"]
    assert [row["level"] for row in file["consent_decisions"]] == ["full"]
    assert [row["click_id"] for row in file["clicks"]] == ["E.C.P.click"]
    assert [row["starts_at"] for row in file["activity"]] == ["2026-11-02T10:15:00Z", "2026-11-01T09:00:00Z"]
    assert [row["user_id"] for row in file["events"]] == ["player-ada"]
    assert file["events"][0]["properties"]["email"] == "ada@players.example"
    assert len(file["rejections"]) == 1
    (delivery,) = file["conversions"][0]["deliveries"]
    body = json.dumps(PAYLOAD, sort_keys=True, separators=(",", ":"))
    assert delivery["attempts"][0]["payload_sha256"] == hashlib.sha256(body.encode()).hexdigest()
    for secret in ("the-postback-token", "secretsecret", "hunter2", "gAAAA"):
        assert secret not in text, secret
    assert "somebody-else" not in text


def test_a_download_leaves_an_audit_entry_without_ids(game: Game, admin: Client, ada: Person) -> None:
    exported(admin, game, ada)
    entry = LogEntry.objects.get(action=LogEntry.Action.ACCESS)
    assert (entry.actor.username, entry.object_pk) == ("admin-of-sky-raiders", str(ada.pk))
    page = admin.get(f"/g/{game.slug}/audit-log/").content.decode()
    assert "Exported" in page
    assert "ada@players.example" not in page


def test_a_download_of_many_events_is_streamed(game: Game, admin: Client) -> None:
    row = factories.person(game, user="busy")
    for number in range(250):
        event(game, number, user_id="busy")
    _, text = exported(admin, game, row)
    file = json.loads(text)
    assert len({found["message_id"] for found in file["events"]}) == 250


def test_a_player_of_another_game_is_not_found(game: Game, other_game: Game, ada: Person) -> None:
    theirs = hub.member(other_game, Role.ADMIN)
    for url in (f"/g/{other_game.slug}/privacy/people/{ada.pk}/", f"/g/{game.slug}/privacy/people/{uuid.uuid4()}/"):
        assert theirs.get(url).status_code == 404
        assert theirs.post(f"{url}export/").status_code == 404


def test_a_download_requires_post(game: Game, admin: Client, ada: Person) -> None:
    assert admin.get(f"/g/{game.slug}/privacy/people/{ada.pk}/export/").status_code == 405


def test_the_receipts_refresh_while_an_erasure_is_pending(game: Game, admin: Client) -> None:
    assert 'hx-trigger="every 10s"' in admin.get(f"/g/{game.slug}/privacy/").content.decode()
    admin.post(f"/g/{game.slug}/privacy/erase/", GIVEN)
    page = admin.get(f"/g/{game.slug}/privacy/").content.decode()
    assert 'hx-trigger="every 2s"' in page
    assert "In progress" in page
