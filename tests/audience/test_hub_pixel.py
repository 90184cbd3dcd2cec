"""The page of the web pixel: the code for the chosen options, and what arrived."""

import json
import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.games.keys import NewKey, create_key, revoke_key
from audience.hub.pixel import received
from audience.intake.dialects.pixel_privacy import LIBRARY
from audience.models import Event, Game, KeyKind, Role
from audience.pixel import script
from tests import hub

NOW = timezone.now()


@pytest.fixture
def viewer(game: Game) -> Client:
    return hub.member(game, Role.VIEWER)


def opened(client: Client, query: str = "") -> str:
    answer = client.get(f"/g/sky-raiders/pixel/{query}")
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def config(page: str) -> dict[str, str]:
    """The configuration in the inline code."""
    found: dict[str, str] = json.loads(re.findall(r'<pre id="inline-code"[^>]*>.*?w\[n\]\.c=(\{.*?\});', page)[0])
    return found


def event(game: Game, **given: Any) -> Event:
    context = {
        "library": "afterclick-web",
        "page_url": "https://game.example/?ttclid=E.C.P.7&utm_source=tiktok",
        "consent": {"source": "tcf"},
    }
    fields = {"game_id": game.pk, "day": NOW.date(), "kind": "page", "event_at": NOW, "received_at": NOW}
    fields |= {"message_id": f"m-{given}", "dialect": "rudderstack", "consent_level": "full", "context": context}
    return Event.objects.create(**{**fields, **given})


def test_the_code_has_the_first_publishable_key_and_waits_for_consent(viewer: Client, key: NewKey) -> None:
    page = opened(viewer)
    assert config(page) == {"key": key.value, "consent": "google"}
    assert script.current().path in page
    assert script.current().integrity in page
    assert re.search(r"script-src http://127.0.0.1:8000 'sha256-[\w+/=]+';\nconnect-src http://127.0.0.1:8000;", page)


def test_the_code_has_the_chosen_options(viewer: Client, key: NewKey) -> None:
    key.key.allowed_origins = ["https://shop.example", "https://*.game.example"]
    key.key.save()
    chosen = f"?key={key.key.pk}&consent=tcf%2Bgpp&banner=2026-11&path=/e/&no_pages=on&no_links=on&hash=on"
    chosen += "&domains=Shop.example,+www.game.example,shop.example"
    page = opened(viewer, chosen)
    assert config(page) == {
        "key": key.value,
        "consent": "tcf+gpp",
        "banner": "2026-11",
        "pages": "0",
        "links": "0",
        "hash": "1",
        "domains": "shop.example,www.game.example",
    }
    assert f's.src="/e{script.current().path}"' in page
    assert f'<script async src="/e{script.current().path}"' in page
    assert "\nconnect-src 'self';" in page


@pytest.mark.parametrize(
    "wrong",
    ["path=e", "path=https://x.example", "path=/e?x", "banner=<b>", "domains=https://a.example", "consent=nothing"],
)
def test_a_wrong_option_is_shown_beside_its_field_without_code(viewer: Client, key: NewKey, wrong: str) -> None:
    page = opened(viewer, f"?key={key.key.pk}&{wrong}")
    assert f'id="id_{wrong.split("=")[0]}_errors"' in page
    assert 'id="inline-code"' not in page


@pytest.mark.parametrize(
    ("origins", "query", "sentence"),
    [
        ([], "path=/e", "Add shop.example to the origins in the restrictions of the key first."),
        (["https://game.example"], "path=/e", "Add shop.example to the origins in the restrictions of the key first."),
        (["https://shop.example"], "path=", "Enter a path too."),
    ],
)
def test_other_domains_need_a_path_and_a_key_that_lists_them(
    viewer: Client, key: NewKey, origins: list[str], query: str, sentence: str
) -> None:
    """Without them, a link to such a domain would lead to a page of the server that says so."""
    key.key.allowed_origins = origins
    key.key.save()
    page = opened(viewer, f"?key={key.key.pk}&consent=google&domains=shop.example&{query}")
    assert sentence in page
    assert 'id="inline-code"' not in page


def test_only_live_publishable_keys_of_the_game_are_offered(
    viewer: Client, game: Game, other_game: Game, key: NewKey, secret_key: NewKey
) -> None:
    others = [
        create_key(game=game, name="backend", kind=KeyKind.SERVER),
        create_key(game=other_game, name="of another game"),
        create_key(game=game, name="revoked"),
    ]
    revoke_key(key=others[2].key)
    page = opened(viewer)
    assert re.findall(r'<option value="(\d+)"', page) == [str(key.key.pk)]
    for other in (*others, secret_key):
        assert 'id="inline-code"' not in opened(viewer, f"?key={other.key.pk}")


def test_without_a_key_the_page_names_the_next_step(viewer: Client, game: Game) -> None:
    page = opened(viewer)
    assert "No publishable key yet" in page
    assert "An admin of the game can create one." in page
    assert f'href="/g/{game.slug}/keys/new/?kind=publishable"' in opened(hub.member(game, Role.ADMIN))


def test_what_arrived_is_listed_with_its_click_and_consent(viewer: Client, game: Game, key: NewKey) -> None:
    event(game)
    event(game, kind="track", name="play_clicked", consent_level="anonymous", context={"library": "afterclick-web"})
    event(game, name="of another library", context={"library": "other"})
    event(game, name="too early", received_at=NOW - received.PERIOD * 2)
    page = opened(viewer)
    for text in ("Page view", "<code>ttclid</code> E.C.P.7", "tiktok", "tcf", "play_clicked", "Anonymous"):
        assert text in page
    for text in ("of another library", "too early"):
        assert text not in page
    rows = viewer.get(f"/g/{game.slug}/pixel/", headers={"HX-Request": "true"}).content.decode()
    assert "play_clicked" in rows
    assert "<h1>" not in rows


def test_a_viewer_sees_no_addresses(viewer: Client, game: Game) -> None:
    event(game, kind="track", name="anna@example.com", context={"library": "afterclick-web"})
    assert "anna@" not in opened(viewer)
    assert "anna@example.com" in opened(hub.member(game, Role.MARKETER))


def test_nothing_received_names_the_next_step(viewer: Client, key: NewKey) -> None:
    assert "Open your website with <code>?ttclid=test</code>" in opened(viewer)


def test_the_library_is_the_one_that_the_script_states() -> None:
    assert f'name:"{LIBRARY}"' in script.current().content.decode()
