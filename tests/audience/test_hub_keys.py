"""The keys page: made, rotated and revoked by admins, a secret seen once."""

import re
from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.contrib.sessions.models import Session
from django.core import signing
from django.test import Client
from django.utils import timezone

from audience.keys import NewKey, rotate_key
from audience.models import ApiKey, Game, Role
from audience.models.keys import digest_of
from tests import hub

SECRET = {"name": "Payment backend", "kind": "secret", "environment": "production", "dialect": "immutable"}


@pytest.fixture
def admin(game: Game) -> Client:
    return hub.member(game, Role.ADMIN)


def made(answer: object) -> str:
    """The key that an answer shows."""
    found = re.search(r'<code id="value">([^<]+)</code>', answer.content.decode())  # type: ignore[attr-defined]
    assert found
    return found[1]


def test_a_secret_is_shown_in_the_one_answer_that_made_it(game: Game, admin: Client) -> None:
    answer = admin.post(f"/g/{game.slug}/keys/new/", SECRET)
    value = made(answer)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    key = ApiKey.objects.get()
    assert (key.digest, key.value, key.kind, key.created_by.username) == (
        digest_of(value),
        "",
        "secret",
        "admin-of-sky-raiders",
    )
    for url in ("keys/", f"keys/{key.pk}/rotate/", f"keys/{key.pk}/revoke/", ""):
        assert value not in admin.get(f"/g/{game.slug}/{url}").content.decode()
    assert value not in str([signing.loads(s.session_data, salt="django.contrib.sessions.SessionStore")
                             for s in Session.objects.all() if ":" in s.session_data])  # fmt: skip
    assert value not in str(list(LogEntry.objects.values()))


def test_a_publishable_key_is_shown_whole_in_the_list(game: Game, admin: Client, key: NewKey) -> None:
    assert key.value in hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/keys/").content.decode()


def test_a_key_without_a_name_is_refused(game: Game, admin: Client) -> None:
    answer = admin.post(f"/g/{game.slug}/keys/new/", {**SECRET, "name": ""})
    assert "This field is required." in answer.content.decode()
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("seconds", [0, 3_600, 86_400, 604_800])
def test_a_rotation_keeps_the_old_key_for_the_chosen_time(
    game: Game, admin: Client, secret_key: NewKey, seconds: int
) -> None:
    before = timezone.now()
    value = made(admin.post(f"/g/{game.slug}/keys/{secret_key.key.pk}/rotate/", {"overlap": seconds}))
    old = ApiKey.objects.get(pk=secret_key.key.pk)
    assert old.replaced_by is not None
    assert old.replaced_by.digest == digest_of(value)
    assert old.expires_at is not None
    assert timedelta(0) <= old.expires_at - before - timedelta(seconds=seconds) < timedelta(seconds=20)
    assert old.is_live is (seconds > 0)


def test_a_key_has_one_successor_however_often_the_answer_is_reloaded(
    game: Game, admin: Client, secret_key: NewKey
) -> None:
    url = f"/g/{game.slug}/keys/{secret_key.key.pk}/rotate/"
    assert [admin.post(url, {"overlap": 86_400}).status_code for _ in range(2)] == [200, 404]
    assert ApiKey.objects.count() == 2


def test_another_overlap_is_refused(game: Game, admin: Client, secret_key: NewKey) -> None:
    answer = admin.post(f"/g/{game.slug}/keys/{secret_key.key.pk}/rotate/", {"overlap": 999_999_999})
    assert "not one of the available choices" in answer.content.decode()
    assert ApiKey.objects.count() == 1


def test_a_rotating_key_says_until_when(game: Game, admin: Client, secret_key: NewKey) -> None:
    rotate_key(key=secret_key.key, overlap=timedelta(hours=24))
    page = admin.get(f"/g/{game.slug}/keys/").content.decode()
    until = secret_key.key.expires_at
    assert until is not None
    assert "Rotating" in page
    assert "until <time datetime" in page
    assert f"{until:%b, %H:%M} UTC" in page


def test_revoking_asks_first_and_then_shuts_the_door(game: Game, admin: Client, key: NewKey) -> None:
    url = f"/g/{game.slug}/keys/{key.key.pk}/revoke/"
    assert "This cannot be undone." in admin.get(url).content.decode()
    assert ApiKey.objects.get().revoked_at is None
    assert admin.post(url, follow=True).redirect_chain == [(f"/g/{game.slug}/keys/", 302)]
    assert ApiKey.objects.get().revoked_at is not None
    assert admin.get(url).status_code == 404


def test_every_change_of_a_key_leaves_an_audit_entry_without_the_key(game: Game, admin: Client, key: NewKey) -> None:
    admin.post(f"/g/{game.slug}/keys/{key.key.pk}/revoke/")
    entry = LogEntry.objects.get_for_object(key.key).first()
    assert entry is not None
    assert list(entry.changes) == ["revoked_at"]
    assert entry.actor.username == "admin-of-sky-raiders"
    everything = str(list(LogEntry.objects.values()))
    assert key.value not in everything
    assert key.key.digest not in everything
