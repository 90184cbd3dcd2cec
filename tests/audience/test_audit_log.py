"""The audit log: every change of a game with user, time, IP address and values, without secrets and players."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from auditlog.context import set_actor
from auditlog.models import LogEntry
from django.db import connection
from django.test import Client
from django.utils import timezone

from audience.accounts import tokens
from audience.accounts.audit_log import entries, of_kind, record
from audience.games.keys import create_key, revoke_key
from audience.models import ApiToken, Erasure, Game, KeyKind, Role, Scope
from audience.privacy.erasure import request_erasure
from audience.privacy.erasure import run as run_erasure
from audience.tasks import record_expired_tokens
from audience.wording import dates
from config.task_settings import BEAT
from postbacks.configs import hold
from postbacks.models import PostbackConfig
from postbacks.monitoring.alerts import hooks
from tests import factories, hub
from tests.management_api import Api
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
FROM = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture
def admin(game: Game) -> Client:
    return hub.member(game, Role.ADMIN)


def page(client: Client, game: Game, **query: str) -> str:
    answer = client.get(f"/g/{game.slug}/audit-log/", query)
    assert answer.status_code == 200
    return answer.content.decode()


def listed(html: str) -> list[str]:
    return re.findall(r'id="entry-(\d+)"', html)


def newest(game: Game) -> Any:
    return entries(game).order_by("-pk").first()


def test_a_revoked_key_has_an_entry_with_user_time_and_ip_address(game: Game, admin: Client) -> None:
    key = create_key(game=game, name="backend").key
    admin.post(f"/g/{game.slug}/keys/{key.pk}/revoke/", {"confirmation": "backend"}, **FROM)
    entry = newest(game)
    assert (entry.actor.username, entry.remote_addr) == ("admin-of-sky-raiders", "203.0.113.9")
    assert list(entry.changes) == ["revoked_at"]
    html = page(admin, game, kind="apikey", action=str(LogEntry.Action.UPDATE))
    assert listed(html) == [str(entry.pk)]
    for text in ("admin-of-sky-raiders@studio.example", "203.0.113.9", "API key", "backend", "Revoked", "nothing"):
        assert text in html, text


def test_a_forged_forwarding_header_is_ignored(game: Game, admin: Client) -> None:
    admin.post(f"/g/{game.slug}/keys/new/", KEY, headers={"X-Forwarded-For": "198.51.100.1"}, **FROM)
    assert newest(game).remote_addr == "203.0.113.9"


KEY = {"name": "web", "kind": "secret", "environment": "production", "dialect": "immutable"}


def test_no_entry_contains_the_secret_of_a_key(game: Game, admin: Client) -> None:
    made = admin.post(f"/g/{game.slug}/keys/new/", KEY).content.decode()
    value = re.search(r"sk_imapik-[0-9a-f]{40}", made)
    assert value
    written = str(list(entries(game).values()))
    assert value[0] not in written
    assert value[0] not in page(admin, game)


def test_the_entry_of_a_new_game_lists_its_values_without_reverse_relations(game: Game, admin: Client) -> None:
    html = page(admin, game, kind="game")
    labels = re.findall(r"<dt>([^<]+)</dt>", html)
    assert sorted(labels) == [
        "Attribution window in days",
        "Count an fbclid without UTM tags as a paid click",
        "Do not send conversions of players without a stated consent level",
        "Hours of modeled matches",
        "Joins to the game",
        "Limited data use for every conversion",
        "Name",
        "Reporting currency",
        "Slug",
        "Time zone",
    ]
    assert ".None" not in html


def test_a_secret_key_in_a_name_is_shortened_and_a_prefix_is_not(game: Game, admin: Client) -> None:
    pasted = "sk_imapik-" + "ab12" * 10
    key = create_key(game=game, name=pasted, kind=KeyKind.SECRET).key
    html = page(admin, game)
    assert pasted not in html
    assert f"({key.prefix}…)" in html


def test_entries_of_another_game_are_not_listed(game: Game, other_game: Game, admin: Client) -> None:
    create_key(game=other_game, name="their-key")
    create_key(game=game, name="our-key")
    html = page(admin, game, range="all")
    assert "our-key" in html
    assert "their-key" not in html
    assert not hub.member(other_game, Role.VIEWER).get(f"/g/{game.slug}/audit-log/").content.count(b"our-key")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_only_admins_can_open_the_audit_log(game: Game, role: Role) -> None:
    client = hub.member(game, role)
    for path in ("", "export/"):
        assert client.get(f"/g/{game.slug}/audit-log/{path}").status_code == 403


def test_entries_of_a_hold_and_release_do_not_contain_the_token(game: Game, admin: Client) -> None:
    config = factories.config(game, credential={"token": "a-secret-token"})
    hold.hold(config=config, access="token", message="Access token is incorrect.")
    held = newest(game)
    assert held.changes["held_message"] == ["", "Access token is incorrect."]
    hold.release(config=config)
    released = newest(game)
    assert released.changes["held_at"][1] == "None"
    assert PostbackConfig.objects.get().held_at is None
    html = page(admin, game, kind="postbackconfig")
    assert listed(html)[:2] == [str(released.pk), str(held.pk)]
    assert "On hold since" in html
    assert "Afterclick" in html
    assert "a-secret-token" not in html + str(list(LogEntry.objects.values()))


def test_releasing_a_postback_that_is_not_on_hold_leaves_no_entry(game: Game) -> None:
    config = factories.config(game)
    before = entries(game).count()
    hold.release(config=config)
    assert entries(game).count() == before


def test_an_entry_of_a_webhook_contains_only_its_host(game: Game, admin: Client) -> None:
    hook, secret = hooks.add_hook(game=game, url="https://chat.example/services/T0/very-secret", created_by=None)
    hooks.set_hook_enabled(hook=hook, enabled=False)
    hook.delete()
    rows = list(entries(game).filter(content_type__model="alerthook").order_by("pk"))
    assert [row.action for row in rows] == [LogEntry.Action.CREATE, LogEntry.Action.UPDATE, LogEntry.Action.DELETE]
    assert rows[1].changes == {"enabled": ["True", "False"]}
    written = str(list(entries(game).values())) + page(admin, game)
    assert "chat.example" in written
    assert "very-secret" not in written
    assert secret not in written


def test_an_entry_of_an_erasure_contains_only_the_hash(game: Game, admin: Client) -> None:
    factories.person(game, user="ada@players.example")
    erasure = request_erasure(game=game, namespace="user", subject="ada@players.example", requested_by="sk_imapik-1…")
    assert run_erasure(erasure.pk)
    erasure.refresh_from_db()
    html = page(admin, game, kind="erasure")
    assert len(listed(html)) == 2
    assert erasure.subject_hash in html
    assert "sk_imapik-1…" in html
    assert "ada@players.example" not in html + str(list(LogEntry.objects.values()))
    assert Erasure.objects.get().state == "done"


def test_filters_apply_to_the_entries_and_an_empty_result_says_so(game: Game, admin: Client) -> None:
    other = hub.user("bo")
    with set_actor(other):
        key = create_key(game=game, name="web").key
        theirs = newest(game)
    revoke_key(key=key)
    ours = newest(game)
    assert listed(page(admin, game, who=str(other.pk))) == [str(theirs.pk)]
    assert str(ours.pk) in listed(page(admin, game, who="system"))
    assert listed(page(admin, game, action=str(LogEntry.Action.CREATE), kind="apikey")) == [str(theirs.pk)]
    LogEntry.objects.filter(pk=theirs.pk).update(timestamp=timezone.now() - timedelta(days=10))
    assert str(theirs.pk) not in listed(page(admin, game, range="7d"))
    assert str(theirs.pk) in listed(page(admin, game))
    assert "No changes match these filters" in page(admin, game, kind="replay")
    assert listed(page(admin, game, kind="nonsense", who="x", action="9", range="?")) == listed(page(admin, game))


def test_entries_about_and_by_a_token_are_readable_and_filtered(game: Game, admin: Client) -> None:
    ends = timezone.now() + timedelta(days=30)
    scopes = [Scope.READ, Scope.KEYS]
    new = tokens.create_game_token(game=game, name="CI", role=Role.ADMIN, scopes=scopes, expires_at=ends)
    about = newest(game)
    Api(new.value).post(f"games/{game.slug}/keys", {"name": "By token"})
    by = newest(game)
    html = page(admin, game, kind="apitoken")
    assert listed(html) == [str(about.pk)]
    for text in ("API token", f"CI ({new.token.prefix}…)", "<ins>read, keys</ins>", dates.exact(ends)):
        assert text in html, text
    assert new.value not in html
    html = page(admin, game, who="token:CI")
    assert listed(html) == [str(by.pk)]
    assert '<option value="token:CI" selected>' in html
    assert html.count("Token “CI”") == 2
    assert str(by.pk) not in listed(page(admin, game, who="system"))
    assert str(about.pk) in listed(page(admin, game, who="system"))


def test_the_expiry_of_a_token_is_in_the_log(game: Game, admin: Client) -> None:
    new = tokens.create_game_token(game=game, name="CI", role=Role.ADMIN, scopes=[Scope.READ])
    ApiToken.objects.filter(pk=new.token.pk).update(expires_at=timezone.now())
    record_expired_tokens()
    record_expired_tokens()
    entry = newest(game)
    assert (entry.object_pk, entry.changes) == (str(new.token.pk), {"state": ["live", "expired"]})
    assert listed(page(admin, game, kind="apitoken", action=str(LogEntry.Action.UPDATE))) == [str(entry.pk)]
    assert BEAT["expired-tokens"]["schedule"] == timedelta(minutes=1)


def test_older_pages_list_every_entry_once(game: Game, admin: Client) -> None:
    config = factories.config(game)
    for _ in range(110):
        record(game=game, subject=config, action=LogEntry.Action.UPDATE, changes={"enabled": ("True", "False")})
    seen, url = [], f"/g/{game.slug}/audit-log/?range=all"
    while url:
        html = admin.get(url).content.decode()
        seen += listed(html)
        older = re.search(r'href="(\?[^"]*before=[^"]+)">Older', html)
        url = f"/g/{game.slug}/audit-log/{older[1].replace('&amp;', '&')}" if older else ""
    assert seen == [str(pk) for pk in entries(game).order_by("-timestamp", "-pk").values_list("pk", flat=True)]
    assert len(seen) >= 111


def test_the_export_of_the_audit_log_contains_no_formula(game: Game, admin: Client) -> None:
    create_key(game=game, name="=cmd|' /C calc'!A0")
    answer = admin.get(f"/g/{game.slug}/audit-log/export/", {"kind": "apikey"})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="audit-log-sky-raiders-\d{4}-\d\d-\d\d.csv"', answer["Content-Disposition"]
    )
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[0] == ["time", "who", "address", "kind", "action", "name", "changes"]
    assert [row[3:5] for row in rows[1:]] == [["API key", "Created"]]
    assert rows[1][5].startswith("'=cmd")
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows[1:] for cell in row)


def test_the_audit_log_needs_no_more_queries_for_more_entries(game: Game, admin: Client) -> None:
    config = factories.config(game)
    few = queries_of(lambda: page(admin, game))
    for number in range(40):
        with set_actor(hub.user(f"user-{number}")):
            record(game=game, subject=config, action=LogEntry.Action.UPDATE, changes={"enabled": ("True", "False")})
    assert queries_of(lambda: page(admin, game)) <= few


@pytest.mark.parametrize(
    ("index", "narrowed"),
    [
        ("audit_entries_by_game", lambda rows: rows),
        ("audit_entries_by_kind", lambda rows: of_kind(rows, "apikey")),
        ("audit_entries_by_action", lambda rows: rows.filter(action=LogEntry.Action.ACCESS)),
    ],
)
def test_the_audit_log_uses_its_indexes(game: Game, admin: Client, index: str, narrowed: Any) -> None:
    create_key(game=game, name="web")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        # Nor in part, by an index of the time alone: of few rows that may cost as little.
        cursor.execute("SET LOCAL enable_incremental_sort = off")
    assert index in narrowed(entries(game)).order_by("-timestamp", "-pk")[:50].explain()


def test_an_empty_audit_log_explains_what_will_appear(game: Game) -> None:
    root = hub.signed_in(hub.user("root", is_superuser=True))
    LogEntry.objects.all().delete()
    assert "No changes yet" in page(root, game, range="all")
