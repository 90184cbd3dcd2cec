"""API keys in the Django admin: creating, changing, rotating and revoking by the functions of the Hub."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.admin.models import LogEntry as HistoryEntry
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.test import Client

from audience.games.keys import create_key, revoke_key, rotate_key
from audience.models import ApiKey, Game
from audience.models.keys import sha256_hex
from tests import hub

pytestmark = pytest.mark.django_db
KEYS = "/admin/audience/apikey/"
NEW = {"name": "Payment backend", "kind": "server", "environment": "production", "dialect": "rudderstack"}


@pytest.fixture
def root() -> Client:
    return hub.signed_in(hub.user("root", is_staff=True, is_superuser=True))


def staff(*permissions: str) -> Client:
    person: Any = hub.user("operator", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return hub.signed_in(person)


def value_on(page: Any) -> str:
    found = re.search(r'<code class="new-key">([^<]+)</code>', page.content.decode())
    assert found
    return found[1]


def acted(client: Client, key: ApiKey, action: str, **fields: str) -> Any:
    """The answer to the confirmed action."""
    return client.post(
        KEYS, {"action": action, "_selected_action": [key.pk], "confirmed": "yes", **fields}, follow=True
    )


def said(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def is_nowhere(value: str) -> bool:
    """Whether no session, history, audit entry or key contains the secret."""
    tables = (HistoryEntry, LogEntry, ApiKey)
    sessions = [session.get_decoded() for session in Session.objects.all()]
    return value not in str([*sessions, *(list(table.objects.values()) for table in tables)])


def test_a_created_key_is_shown_once_and_kept_nowhere(game: Game, root: Client) -> None:
    assert "Its value is shown once, on the next page." in root.get(f"{KEYS}add/").content.decode()
    entered = {"allowed_events": "purchase\nrefund", "allowed_addresses": "192.0.2.0/24", "ends_on": "2099-05-31"}
    answer = root.post(f"{KEYS}add/", {**NEW, **entered, "game": game.pk, "rate_limit": "25"})

    value, key = value_on(answer), ApiKey.objects.get()
    assert "no-store" in answer["Cache-Control"]
    assert (answer.status_code, key.digest, key.value) == (200, sha256_hex(value), "")
    assert value.startswith("sk_imapik-server-")
    assert (key.game, key.name, key.kind, key.dialect) == (game, "Payment backend", "server", "rudderstack")
    assert (key.rate_limit, key.allowed_events) == (25, ["purchase", "refund"])
    assert (key.allowed_addresses, key.expires_at) == (["192.0.2.0/24"], datetime(2099, 6, 1, tzinfo=UTC))
    assert key.created_by is not None
    assert (key.created_by.username, is_nowhere(value)) == ("root", True)
    assert value not in root.get(f"{KEYS}{key.pk}/change/").content.decode()
    entry = LogEntry.objects.get(content_type__model="apikey")
    assert (entry.get_action_display(), entry.actor.username) == ("create", "root")
    assert entry.additional_data == {"game": game.pk}


def test_an_invalid_key_is_not_created(game: Game, root: Client) -> None:
    page = root.post(f"{KEYS}add/", {**NEW, "name": "", "game": game.pk, "ends_on": "2020-01-01"}).content.decode()
    assert "This field is required." in page
    assert "This day is over." in page
    assert not ApiKey.objects.exists()


def test_a_rotated_key_works_for_the_overlap_beside_its_successor(game: Game, root: Client) -> None:
    old = create_key(game=game, name="Backend", kind="secret").key
    chosen = {"action": "rotate", "_selected_action": [old.pk]}
    question = root.post(KEYS, chosen).content.decode()
    assert "Each key gets a successor with the same restrictions" in question
    assert "Keep the old key working for" in question
    assert ApiKey.objects.count() == 1

    answer = acted(root, old, "rotate", overlap="86400")
    value = value_on(answer)
    old.refresh_from_db()
    assert old.replaced_by is not None
    assert (old.replaced_by.digest, old.is_rotating, is_nowhere(value)) == (sha256_hex(value), True, True)
    assert timedelta(hours=23) < old.expires_at - datetime.now(UTC) < timedelta(hours=24)
    assert (answer.redirect_chain, "no-store" in answer["Cache-Control"]) == ([], True)

    again = acted(root, old, "rotate", overlap="86400")
    assert said(again) == [f"{old}: The key was rotated already. Rotate its successor."]
    assert ApiKey.objects.count() == 2


def test_a_key_without_a_chosen_overlap_is_not_rotated(game: Game, root: Client) -> None:
    key = create_key(game=game, name="Backend").key
    assert "Nothing was done. Correct the fields below." in acted(root, key, "rotate", overlap="7").content.decode()
    assert ApiKey.objects.count() == 1


def test_a_key_is_renamed_restricted_and_limited_in_one_entry(game: Game, root: Client) -> None:
    key = create_key(game=game, name="busy").key
    url = f"{KEYS}{key.pk}/change/"
    page = root.get(url).content.decode()
    assert "Origins" in page
    fields = {"name": "renamed", "rate_limit": "25", "allowed_origins": "https://game.example", "kind": "secret"}
    assert root.post(url, {**fields, "ends_on": "2099-05-31"}).status_code == 302

    key.refresh_from_db()
    assert (key.name, key.rate_limit, key.kind) == ("renamed", 25, "publishable")
    assert (key.allowed_origins, key.expires_at) == (["https://game.example"], datetime(2099, 6, 1, tzinfo=UTC))
    changed = LogEntry.objects.filter(content_type__model="apikey").order_by("-pk")[0].changes
    assert set(changed) == {"name", "rate_limit", "allowed_origins", "expires_at"}
    assert '"2099-05-31"' in root.get(url).content.decode()


def test_the_end_of_an_overlap_is_kept_and_of_an_ended_key_only_the_name_changes(game: Game, root: Client) -> None:
    rotated, ended = create_key(game=game, name="one").key, create_key(game=game, name="two", rate_limit=9).key
    rotate_key(key=rotated, overlap=timedelta(days=1))
    revoke_key(key=ended)
    fields = {"rate_limit": "25", "allowed_events": "purchase", "ends_on": "2099-05-31"}
    end = rotated.expires_at
    for key in (rotated, ended):
        assert 'name="ends_on"' not in root.get(f"{KEYS}{key.pk}/change/").content.decode()
        assert root.post(f"{KEYS}{key.pk}/change/", {"name": "new", **fields}).status_code == 302
        key.refresh_from_db()
    assert (rotated.name, rotated.rate_limit, rotated.expires_at) == ("new", 25, end)
    assert (ended.name, ended.rate_limit, ended.allowed_events) == ("new", 9, [])


def test_a_revoked_key_is_reported_as_revoked_already(game: Game, root: Client) -> None:
    key = create_key(game=game, name="Backend").key
    question = root.post(KEYS, {"action": "revoke", "_selected_action": [key.pk]}).content.decode()
    assert "events sent with it are lost" in question
    assert said(acted(root, key, "revoke")) == [f"{key}: The key was revoked."]
    key.refresh_from_db()
    revoked_at = key.revoked_at
    assert revoked_at is not None
    assert said(acted(root, key, "revoke")) == [f"{key}: The key was revoked already."]
    key.refresh_from_db()
    assert key.revoked_at == revoked_at


def test_the_page_of_a_key_has_its_actions_as_buttons(game: Game, root: Client) -> None:
    key = create_key(game=game, name="Backend").key
    page = root.get(f"{KEYS}{key.pk}/change/").content.decode()
    assert f'<input type="hidden" name="_selected_action" value="{key.pk}">' in page
    assert '<button class="button">Rotate</button>' in page
    viewer = staff("view_apikey").get(f"{KEYS}{key.pk}/change/").content.decode()
    assert "Rotate</button>" not in viewer


def test_each_right_allows_its_operation_only(game: Game) -> None:
    key = create_key(game=game, name="Backend").key
    viewer = staff("view_apikey")
    assert viewer.get(f"{KEYS}add/").status_code == 403
    assert viewer.post(f"{KEYS}add/", {**NEW, "game": game.pk}).status_code == 403
    acted(viewer, key, "rotate", overlap="0")
    acted(viewer, key, "revoke")
    assert viewer.post(f"{KEYS}{key.pk}/change/", {"name": "new"}).status_code == 403
    assert list(ApiKey.objects.values_list("name", "revoked_at", "replaced_by")) == [("Backend", None, None)]
