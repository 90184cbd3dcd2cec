"""The key pages: creating, rotating and revoking keys, and showing a secret once."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from auditlog.models import LogEntry
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.games.key_usage import Usage, time_left, usage_by_key
from audience.games.keys import NewKey, create_key, rename_key, revoke_key, rotate_key
from audience.models import ApiKey, Batch, Game, Role
from audience.models.keys import sha256_hex
from audience.wording import dates
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


def test_a_secret_key_is_shown_only_in_the_response_that_created_it(game: Game, admin: Client) -> None:
    answer = admin.post(f"/g/{game.slug}/keys/new/", SECRET)
    value = made(answer)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    key = ApiKey.objects.get()
    assert (key.digest, key.value, key.kind, key.created_by.username) == (
        sha256_hex(value),
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


@pytest.mark.parametrize("seconds", [0, 3_600, 86_400, 259_200, 604_800])
def test_a_rotation_keeps_the_old_key_for_the_chosen_time(
    game: Game, admin: Client, secret_key: NewKey, seconds: int
) -> None:
    before = timezone.now()
    value = made(admin.post(f"/g/{game.slug}/keys/{secret_key.key.pk}/rotate/", {"overlap": seconds}))
    old = ApiKey.objects.get(pk=secret_key.key.pk)
    assert old.replaced_by is not None
    assert old.replaced_by.digest == sha256_hex(value)
    assert old.expires_at is not None
    assert timedelta(0) <= old.expires_at - before - timedelta(seconds=seconds) < timedelta(seconds=20)
    assert old.is_live is (seconds > 0)


def test_reloading_a_rotation_creates_no_second_successor(game: Game, admin: Client, secret_key: NewKey) -> None:
    url = f"/g/{game.slug}/keys/{secret_key.key.pk}/rotate/"
    assert [admin.post(url, {"overlap": 86_400}).status_code for _ in range(2)] == [200, 404]
    assert ApiKey.objects.count() == 2


def test_an_unknown_overlap_is_refused(game: Game, admin: Client, secret_key: NewKey) -> None:
    answer = admin.post(f"/g/{game.slug}/keys/{secret_key.key.pk}/rotate/", {"overlap": 999_999_999})
    assert "not one of the available choices" in answer.content.decode()
    assert ApiKey.objects.count() == 1


def test_a_rotating_key_shows_when_it_ends(game: Game, admin: Client, secret_key: NewKey) -> None:
    rotate_key(key=secret_key.key, overlap=timedelta(hours=24))
    page = hub.normalized_html(admin.get(f"/g/{game.slug}/keys/").content.decode())
    until = secret_key.key.expires_at
    assert until is not None
    assert "Rotating" in page
    assert "Old key works for 23 h 59 min more, until<time datetime" in page
    assert dates.moment(until) in page


def test_revoking_a_key_asks_for_confirmation_first(game: Game, admin: Client, key: NewKey) -> None:
    url = f"/g/{game.slug}/keys/{key.key.pk}/revoke/"
    assert "This cannot be undone." in admin.get(url).content.decode()
    assert ApiKey.objects.get().revoked_at is None
    assert admin.post(url, {"confirmation": "web"}, follow=True).redirect_chain == [(f"/g/{game.slug}/keys/", 302)]
    assert ApiKey.objects.get().revoked_at is not None
    assert admin.get(url).status_code == 404


@pytest.mark.parametrize(
    ("typed", "said"), [("", "Nothing was entered. The key still works."), ("Web", "This is not “web”.")]
)
def test_a_key_is_not_revoked_before_its_name_is_typed(
    game: Game, admin: Client, key: NewKey, typed: str, said: str
) -> None:
    answer = admin.post(f"/g/{game.slug}/keys/{key.key.pk}/revoke/", {"confirmation": typed})
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert ApiKey.objects.get().revoked_at is None
    assert LogEntry.objects.get_for_object(key.key).count() == 1


def test_every_change_of_a_key_leaves_an_audit_entry_without_the_key(game: Game, admin: Client, key: NewKey) -> None:
    admin.post(f"/g/{game.slug}/keys/{key.key.pk}/revoke/", {"confirmation": "web"})
    entry = LogEntry.objects.get_for_object(key.key).first()
    assert entry is not None
    assert list(entry.changes) == ["revoked_at"]
    assert entry.actor.username == "admin-of-sky-raiders"
    everything = str(list(LogEntry.objects.values()))
    assert key.value not in everything
    assert key.key.digest not in everything


def batch(of: ApiKey, *, ago: timedelta, accepted: int = 3, duplicates: int = 1, rejected: int = 1) -> None:
    Batch.objects.create(
        game=of.game,
        key=of,
        dialect=of.dialect,
        received_at=timezone.now() - ago,
        accepted=accepted,
        duplicates=duplicates,
        rejected=rejected,
        event_ids=[],
    )


def test_the_list_shows_the_usage_of_each_key(
    game: Game, other_game: Game, admin: Client, key: NewKey, secret_key: NewKey
) -> None:
    for ago in (timedelta(minutes=5), timedelta(hours=23), timedelta(days=6), timedelta(days=8)):
        batch(key.key, ago=ago)
    batch(create_key(game=other_game, name="theirs").key, ago=timedelta(minutes=1))
    rows = {row.key.pk: row.usage for row in admin.get(f"/g/{game.slug}/keys/").context["rows"]}
    assert rows[key.key.pk] == Usage(
        hour_requests=1, day_requests=2, day_messages=10, week_requests=3, week_messages=15
    )
    assert rows[secret_key.key.pk] == Usage()


def test_the_usage_of_an_hour_is_60_full_minutes_and_the_current_one(game: Game, key: NewKey) -> None:
    with time_machine.travel(datetime(2026, 11, 21, 10, 30, 40, tzinfo=UTC), tick=False):
        batch(key.key, ago=timedelta(minutes=60, seconds=30))
        batch(key.key, ago=timedelta(minutes=60, seconds=41))
        found = usage_by_key(game)[key.key.pk]
    assert (found.hour_requests, found.day_requests, found.week_requests) == (1, 2, 2)


def test_a_replaced_key_that_is_still_used_has_a_warning(game: Game, admin: Client, key: NewKey) -> None:
    rotate_key(key=key.key, overlap=timedelta(days=4))
    url = f"/g/{game.slug}/keys/"
    assert "is still in use" not in admin.get(url).content.decode()
    for minutes in (2, 3):
        batch(key.key, ago=timedelta(minutes=minutes))
    ApiKey.objects.filter(pk=key.key.pk).update(last_used_at=timezone.now() + timedelta(seconds=5))
    page = hub.normalized_html(admin.get(url).content.decode())
    assert "The old key of web is still in use." in page
    assert "by 2 requests in the last hour" in page
    assert "stops working in 3 d 23 h" in page


def test_usage_before_the_rotation_causes_no_warning(game: Game, admin: Client, key: NewKey) -> None:
    ApiKey.objects.filter(pk=key.key.pk).update(last_used_at=timezone.now() - timedelta(minutes=1))
    rotate_key(key=ApiKey.objects.get(), overlap=timedelta(days=4))
    assert "is still in use" not in admin.get(f"/g/{game.slug}/keys/").content.decode()


def test_the_list_of_keys_is_filtered_by_state(game: Game, admin: Client, key: NewKey, secret_key: NewKey) -> None:
    rotate_key(key=secret_key.key, overlap=timedelta(hours=1))
    revoke_key(key=create_key(game=game, name="gone").key)
    found = {
        state: sorted(
            (row.key.name, row.state)
            for part in ("working", "ended")
            for row in admin.get(f"/g/{game.slug}/keys/", {"state": state}).context[part]
        )
        for state in ("live", "rotating", "ended")
    }
    assert found == {
        "live": [("backend", "live"), ("web", "live")],
        "rotating": [("backend", "rotating")],
        "ended": [("gone", "ended")],
    }
    assert len(admin.get(f"/g/{game.slug}/keys/", {"state": "no such"}).context["working"]) == 3


def test_an_empty_state_filter_says_so(game: Game, admin: Client, key: NewKey) -> None:
    page = admin.get(f"/g/{game.slug}/keys/", {"state": "ended"}).content.decode()
    assert "No ended keys" in page
    assert "No API keys yet" not in page


def test_the_list_of_keys_needs_no_more_queries_for_more_keys(
    game: Game, admin: Client, key: NewKey, django_assert_num_queries: Any
) -> None:
    url = f"/g/{game.slug}/keys/"
    rotate_key(key=key.key, overlap=timedelta(days=1))
    with CaptureQueriesContext(connection) as few:
        admin.get(url)
    for number in range(20):
        made = create_key(game=game, name=f"key {number}").key
        batch(made, ago=timedelta(minutes=number))
        rotate_key(key=made, overlap=timedelta(days=1))
    with django_assert_num_queries(len(few)):
        assert len(admin.get(url).context["rows"]) == 42


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3 * 86_400 + 4 * 3_600 + 59, "3 d 4 h"),
        (86_400, "1 d"),
        (4 * 3_600 + 20 * 60, "4 h 20 min"),
        (3_600, "1 h"),
        (120, "2 min"),
        (59, "less than a minute"),
        (-5, "less than a minute"),
    ],
)
def test_the_time_left_has_at_most_two_units(seconds: int, said: str) -> None:
    now = timezone.now()
    assert time_left(now + timedelta(seconds=seconds), now) == said


def rename(client: Client, game: Game, key: NewKey, **given: str) -> Any:
    return client.post(f"/g/{game.slug}/keys/{key.key.pk}/rename/", given, follow=True)


def test_an_admin_renames_a_key_and_the_audit_log_has_both_names(game: Game, admin: Client, key: NewKey) -> None:
    before = key.key.name
    assert f"/keys/{key.key.pk}/rename/" in admin.get(f"/g/{game.slug}/keys/").content.decode()
    page = rename(admin, game, key, name="  Web shop ", seen=before).content.decode()
    assert f"The key {before} is now named Web shop." in page
    key.key.refresh_from_db()
    assert key.key.name == "Web shop"
    entry = LogEntry.objects.get_for_object(key.key).latest("pk")
    assert entry.changes == {"name": [before, "Web shop"]}
    assert key.value not in str(entry.changes)


def test_a_key_that_has_ended_can_be_renamed(game: Game, admin: Client, key: NewKey) -> None:
    revoke_key(key=key.key)
    assert f"/keys/{key.key.pk}/rename/" in admin.get(f"/g/{game.slug}/keys/").content.decode()
    rename(admin, game, key, name="Old shop")
    key.key.refresh_from_db()
    assert key.key.name == "Old shop"


@pytest.mark.parametrize(("name", "said"), [(" ", "This field is required"), ("x" * 81, "at most 80 characters")])
def test_a_name_that_no_key_can_have_is_refused(game: Game, admin: Client, key: NewKey, name: str, said: str) -> None:
    before = key.key.name
    assert said in rename(admin, game, key, name=name).content.decode()
    key.key.refresh_from_db()
    assert key.key.name == before


def test_a_key_that_someone_else_renamed_is_not_renamed_again(game: Game, admin: Client, key: NewKey) -> None:
    before = key.key.name
    rename_key(key=key.key, name="First")
    page = rename(admin, game, key, name="Second", seen=before).content.decode()
    assert "Someone else renamed this key while you were editing: it is now “First”." in page
    assert 'name="seen" value="First"' in page
    key.key.refresh_from_db()
    assert key.key.name == "First"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_other_members_cannot_rename_a_key(game: Game, key: NewKey, role: Role) -> None:
    client, before = hub.member(game, role), key.key.name
    assert "/rename/" not in client.get(f"/g/{game.slug}/keys/").content.decode()
    assert rename(client, game, key, name="Mine").status_code == 403
    key.key.refresh_from_db()
    assert key.key.name == before


def test_a_key_of_another_game_is_not_found(game: Game, other_game: Game, admin: Client) -> None:
    other_key = create_key(game=other_game, name="Theirs")
    before = other_key.key.name
    assert rename(admin, game, other_key, name="Mine").status_code == 404
    other_key.key.refresh_from_db()
    assert other_key.key.name == before


@pytest.mark.parametrize("page", ["", "keys/"])
def test_the_base_url_is_on_the_overview_and_the_keys_page(game: Game, settings: Any, page: str) -> None:
    """That of PUBLIC_URL, also behind a proxy: whoever sends a request chooses its Host header."""
    settings.PUBLIC_URL = "https://events.studio.example"
    client = hub.member(game, Role.VIEWER)
    html = client.get(f"/g/{game.slug}/{page}", headers={"x-forwarded-host": "evil.example"}).content.decode()
    assert '<code id="base-url">https://events.studio.example</code>' in html
    assert 'data-copy="https://events.studio.example"' in html
