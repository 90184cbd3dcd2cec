"""The key pages: restrictions of keys, and the explanation of public keys."""

from datetime import UTC, datetime, timedelta

import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.utils import timezone

from audience.games.keys import NewKey, Restrictions, create_key, rotate_key
from audience.models import ApiKey, Game, Role
from tests import hub

TOMORROW = timezone.now().astimezone(UTC).date() + timedelta(days=1)
MADE = {"name": "Shop", "kind": "publishable", "environment": "production", "dialect": "immutable"}
LISTS = {
    "allowed_events": "progression\n  shop_opened \n\nprogression",
    "allowed_origins": "https://Shop.Example/\nhttps://*.game.example",
    "allowed_addresses": "192.0.2.0/24\n2001:DB8::1",
    "ends_on": TOMORROW.isoformat(),
}
KEPT = Restrictions(
    events=["progression", "shop_opened"],
    origins=["https://shop.example", "https://*.game.example"],
    addresses=["192.0.2.0/24", "2001:db8::1"],
    expires_at=datetime(TOMORROW.year, TOMORROW.month, TOMORROW.day, tzinfo=UTC) + timedelta(days=1),
)


@pytest.fixture
def admin(game: Game) -> Client:
    return hub.member(game, Role.ADMIN)


def test_a_new_key_is_restricted_as_the_form_says(game: Game, admin: Client) -> None:
    assert admin.post(f"/g/{game.slug}/keys/new/", {**MADE, **LISTS}).status_code == 200
    assert Restrictions.of(ApiKey.objects.get()) == KEPT


def test_a_key_created_without_restrictions_has_none(game: Game, admin: Client) -> None:
    admin.post(f"/g/{game.slug}/keys/new/", MADE)
    assert Restrictions.of(ApiKey.objects.get()) == Restrictions(events=[], origins=[], addresses=[])


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("allowed_origins", "https://a.example\ngame.example", "“game.example” is not an origin."),
        ("allowed_origins", "https://*.com", "would allow every site of a top-level domain."),
        ("allowed_addresses", "192.0.2.1/24", "The part after the prefix must be zero."),
        ("allowed_events", "x" * 257, "An event name has at most 256 characters."),
        ("allowed_events", "\n".join(f"event {number}" for number in range(101)), "List at most 100."),
        ("ends_on", "2020-01-01", "This day is over. To end a key immediately, revoke it."),
    ],
)
def test_an_invalid_restriction_is_refused_and_no_key_is_created(
    game: Game, admin: Client, field: str, value: str, sentence: str
) -> None:
    answer = admin.post(f"/g/{game.slug}/keys/new/", {**MADE, field: value})
    assert sentence in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_a_change_of_restrictions_is_in_the_audit_log(game: Game, admin: Client, key: NewKey) -> None:
    url = f"/g/{game.slug}/keys/{key.key.pk}/change/"
    assert admin.post(url, {"name": "Website", **LISTS}).status_code == 302

    row = ApiKey.objects.get()
    assert (row.name, Restrictions.of(row)) == ("Website", KEPT)
    entry = LogEntry.objects.get_for_object(row).latest("timestamp")
    assert entry.actor.username == "admin-of-sky-raiders"
    assert set(entry.changes) == {"name", "allowed_events", "allowed_origins", "allowed_addresses", "expires_at"}
    page = admin.get(url).content.decode()
    for shown in ("progression\nshop_opened", "https://*.game.example", "192.0.2.0/24", TOMORROW.isoformat()):
        assert shown in page
    log = admin.get(f"/g/{game.slug}/audit-log/").content.decode()
    assert "Event names" in log


def test_a_rotating_key_keeps_the_end_of_its_overlap(game: Game, admin: Client, key: NewKey) -> None:
    rotate_key(key=key.key, overlap=timedelta(hours=5))
    expires_at = ApiKey.objects.get(pk=key.key.pk).expires_at
    admin.post(f"/g/{game.slug}/keys/{key.key.pk}/change/", {"name": "web", **LISTS})
    row = ApiKey.objects.get(pk=key.key.pk)
    assert (row.expires_at, row.allowed_events) == (expires_at, ["progression", "shop_opened"])


def test_a_viewer_cannot_change_a_key(game: Game, key: NewKey) -> None:
    for role in (Role.VIEWER, Role.MARKETER):
        answer = hub.member(game, role).post(f"/g/{game.slug}/keys/{key.key.pk}/change/", {"name": "mine", **LISTS})
        assert answer.status_code == 403
    assert Restrictions.of(ApiKey.objects.get()) == Restrictions(events=[], origins=[], addresses=[])


def test_the_key_pages_explain_publishable_keys(game: Game, admin: Client, key: NewKey) -> None:
    assert "anyone who opens your game or site" in admin.get(f"/g/{game.slug}/keys/new/").content.decode()
    changing = admin.get(f"/g/{game.slug}/keys/{key.key.pk}/change/").content.decode()
    assert "<strong>A publishable key is public.</strong>" in changing
    made = admin.post(f"/g/{game.slug}/keys/new/", MADE).content.decode()
    assert "This key is public" in made
    server = create_key(game=game, name="b", kind="server")  # type: ignore[arg-type]  # as a form names it
    calm = admin.get(f"/g/{game.slug}/keys/{server.key.pk}/change/").content.decode()
    assert "A publishable key is public" not in calm


def test_a_server_key_is_shown_once(game: Game, admin: Client) -> None:
    page = admin.post(f"/g/{game.slug}/keys/new/", {**MADE, "kind": "server"}).content.decode()
    assert "Copy this server key now" in page
    row = ApiKey.objects.get()
    assert (row.kind, row.value) == ("server", "")
    listed = admin.get(f"/g/{game.slug}/keys/").content.decode()
    assert f"<code>{row.prefix}…</code>" in listed


def test_the_list_shows_what_a_key_is_restricted_to_and_how_long_it_works(game: Game, admin: Client) -> None:
    create_key(game=game, name="Shop", restrictions=KEPT)
    page = hub.normalized_html(admin.get(f"/g/{game.slug}/keys/").content.decode())
    assert "Events: progression, shop_opened" in page
    assert "Origins: https://shop.example, https://*.game.example" in page
    assert "Addresses: 192.0.2.0/24, 2001:db8::1" in page
    assert '<span class="status good">Live</span><span class="second">Works for 1 d' in page
    assert "Rotating" not in page.split("</thead>")[1]


def test_a_link_preselects_the_kind_of_a_new_key(game: Game, admin: Client) -> None:
    page = admin.get(f"/g/{game.slug}/keys/new/?kind=server").content.decode()
    assert '<option value="server" selected>' in page
    assert '<option value="publishable" selected>' in admin.get(f"/g/{game.slug}/keys/new/?kind=x").content.decode()
