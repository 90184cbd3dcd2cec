"""The routes of the web pixel, the size of what a page loads, and the code for a page."""

import gzip
import hashlib
import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from audience.games.keys import NewKey, create_key, revoke_key
from audience.models import Event, Game
from audience.pixel import script
from audience.pixel.snippet import snippet
from tests.audience.test_immutable_outage import postgresql_away

OWN = {"X-Requested-With": "afterclick"}
ID, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
MAX_SNIPPET_BYTES, MAX_SCRIPT_BYTES = 600, 5_000


def ask(client: Client, headers: dict[str, str] = OWN, **fields: str) -> HttpResponse:
    return client.post("/s/id", fields, headers=headers)


# Sizes ------------------------------------------------------------------------------------------------------------


def test_the_script_has_at_most_5_kb_gzipped() -> None:
    assert len(gzip.compress(script.current().content, 9)) <= MAX_SCRIPT_BYTES


def test_the_snippet_has_at_most_600_bytes(key: NewKey) -> None:
    config = {"key": key.value, "consent": "google+gpp"}
    made = snippet(base="https://events.a-long-studio-name.example", config=config)
    assert len(made.inline.encode()) <= MAX_SNIPPET_BYTES
    assert len(made.tag.encode()) <= MAX_SNIPPET_BYTES


def test_the_script_has_no_comments_and_no_indentation() -> None:
    text = script.current().content.decode()
    assert "@typedef" not in text
    assert re.findall(r"^(?:\s|//|/\*)", text, re.MULTILINE) == []


# The script -------------------------------------------------------------------------------------------------------


def test_the_script_is_at_the_hash_of_its_content_and_never_changes(client: Client) -> None:
    current = script.current()
    answer = client.get(current.path)
    assert answer.status_code == 200
    assert answer.content == current.content
    assert current.path == f"/s/{hashlib.sha256(answer.content).hexdigest()[:16]}.js"
    assert b64decode(current.integrity.removeprefix("sha384-")) == hashlib.sha384(answer.content).digest()
    headers = ("Content-Type", "Cache-Control", "Access-Control-Allow-Origin", "Cross-Origin-Resource-Policy", "Vary")
    assert [answer.headers[name] for name in headers] == [
        "text/javascript; charset=utf-8",
        "public, max-age=31536000, immutable",
        "*",
        "cross-origin",
        "Accept-Encoding",
    ]
    assert answer.cookies == {}


def test_the_script_is_compressed_for_browsers(client: Client) -> None:
    answer = client.get(script.current().path, headers={"Accept-Encoding": "gzip, br"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.content) == script.current().content


def test_a_script_with_another_hash_does_not_exist(client: Client) -> None:
    answer = client.get("/s/0123456789abcdef.js")
    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("Cache-Control", "")


def test_scripts_of_earlier_releases_are_served_unchanged(tmp_path: Path) -> None:
    (tmp_path / "any-name.js").write_bytes(b"(() => {\n  // as it was\n})()")
    (tmp_path / "README.md").write_text("no script")
    (earlier,) = script.scripts_in(tmp_path)
    assert earlier.content == b"(() => {\n  // as it was\n})()"
    assert earlier.name == hashlib.sha256(earlier.content).hexdigest()[:16]
    served = [*script.scripts_in(script.EARLIER), script.current()]
    assert list(script.by_name().values()) == served


# The snippet ------------------------------------------------------------------------------------------------------


def test_values_of_the_configuration_do_not_end_the_script_element() -> None:
    made = snippet(base="", config={"key": "</script><script>alert(1)</script>", "banner": '"><b>'})
    assert made.inline.count("</script>") == 1
    assert "<b>" not in made.tag
    assert made.tag.count("</script>") == 1


def test_the_policy_allows_the_inline_code_by_its_hash_and_the_server() -> None:
    made = snippet(base="https://events.example", config={"key": "k"})
    digest = made.csp["script-src"].split("'sha256-")[1].rstrip("'")
    code = made.inline.removeprefix("<script>").removesuffix("</script>")
    assert b64decode(digest) == hashlib.sha256(code.encode()).digest()
    assert made.csp["script-src"].startswith("https://events.example '")
    assert made.csp["connect-src"] == "https://events.example"
    assert snippet(base="/e", config={"key": "k"}).csp["connect-src"] == "'self'"


# The cookies of the id --------------------------------------------------------------------------------------------


def test_the_id_of_a_new_visitor_is_set_in_both_cookies(client: Client) -> None:
    answer = ask(client, id=ID)
    assert answer.json() == {"id": ID}
    assert answer.headers["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    cookies = {name: (one.value, bool(one["httponly"]), bool(one["secure"])) for name, one in answer.cookies.items()}
    assert cookies == {"ac_id": (ID, False, False), "ac_twin": (ID, True, False)}
    assert {(one["max-age"], one["samesite"], one["path"], one["domain"]) for one in answer.cookies.values()} == {
        (400 * 86_400, "Lax", "/", "")
    }


def test_the_cookies_of_a_site_on_https_are_secure(client: Client) -> None:
    answer = ask(client, {**OWN, "Origin": "https://game.example"}, id=ID)
    assert all(one["secure"] for one in answer.cookies.values())


def test_the_cookie_that_scripts_cannot_read_restores_the_id(client: Client) -> None:
    client.cookies["ac_twin"] = OTHER
    answer = ask(client, id=ID)
    assert answer.json() == {"id": OTHER}
    assert {one.value for one in answer.cookies.values()} == {OTHER}


def test_a_known_id_replaces_the_one_in_the_cookie(client: Client) -> None:
    client.cookies["ac_twin"] = OTHER
    answer = ask(client, id=ID, known="1")
    assert answer.json() == {"id": ID}
    assert {one.value for one in answer.cookies.values()} == {ID}


def test_an_empty_id_deletes_both_cookies(client: Client) -> None:
    client.cookies["ac_twin"] = OTHER
    answer = ask(client, id="", known="1")
    assert {name: (one.value, one["max-age"]) for name, one in answer.cookies.items()} == {
        "ac_id": ("", 0),
        "ac_twin": ("", 0),
    }


def test_a_page_of_another_site_cannot_set_an_id(client: Client) -> None:
    for headers in ({}, {"X-Requested-With": "XMLHttpRequest"}):
        answer = ask(client, headers, id=ID)
        assert (answer.status_code, dict(answer.cookies)) == (403, {})
    preflight = client.options("/s/id", headers={"Origin": "https://evil.example"})
    assert preflight.status_code == 405
    assert "Access-Control-Allow-Origin" not in preflight.headers


@pytest.mark.parametrize("value", ["short", "a" * 129, "id with spaces", "id;path=/", "id\r\nSet-Cookie: a=b"])
def test_an_unusable_id_is_refused(client: Client, value: str) -> None:
    answer = ask(client, id=value)
    assert (answer.status_code, dict(answer.cookies)) == (400, {})
    client.cookies["ac_twin"] = "x"
    assert ask(client, id=ID).json() == {"id": ID}


def test_the_routes_of_events_set_no_cookie(client: Client, key: NewKey) -> None:
    client.cookies["ac_twin"] = OTHER
    body = '{"batch": [{"type": "page", "anonymousId": "browser-7", "messageId": "m-1"}]}'
    url = f"/beacon/v1/batch?writeKey={key.value}"
    answer = client.generic("POST", url, body, "text/plain", headers={"Origin": "https://game.example"})
    assert (answer.status_code, answer.content, dict(answer.cookies)) == (200, b"OK", {})
    assert Event.objects.get().anonymous_id == "browser-7"


# Another domain of the studio -------------------------------------------------------------------------------------


@pytest.fixture
def linked(key: NewKey) -> NewKey:
    key.key.allowed_origins = ["https://game.example", "https://*.shop.example"]
    key.key.save()
    return key


def follow(client: Client, key: NewKey, target: str, **headers: str) -> HttpResponse:
    return client.get("/s/to", {"key": key.value, "to": target}, headers=headers)


def token_of(client: Client, key: NewKey, **headers: str) -> str:
    answer = follow(client, key, "https://www.shop.example/buy", **headers)
    (token,) = parse_qs(urlsplit(answer.headers["Location"]).query)["ac_aid"]
    return token


def test_a_link_to_an_allowed_origin_gets_a_token_for_the_id_of_the_cookie(client: Client, linked: NewKey) -> None:
    client.cookies["ac_twin"] = ID
    answer = follow(client, linked, "https://www.shop.example/buy?a=b%20c#top")
    assert answer.status_code == 302
    assert re.fullmatch(r"https://www\.shop\.example/buy\?a=b%20c&ac_aid=[\w%.-]+#top", answer.headers["Location"]), (
        answer.headers["Location"]
    )
    assert "no-store" in answer.headers["Cache-Control"]
    other = Client()
    handed = ask(other, id=OTHER, key=linked.value, token=token_of(client, linked))
    assert handed.json() == {"id": ID}
    assert {one.value for one in handed.cookies.values()} == {ID}


def test_without_an_id_the_link_is_unchanged(client: Client, linked: NewKey) -> None:
    assert follow(client, linked, "https://game.example/").headers["Location"] == "https://game.example/"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "https://evil.example/?https://game.example",
        "https://game.example@evil.example/",
        "https://game.example.evil.example/",
        "//game.example/",
        "javascript:alert(1)",
        "https://game.example\\@evil.example/",
        "https://game.exa\tmple/",
        "https://game.example\r\nSet-Cookie: a=b",
        "https://[game.example/",
        "https://game.example:99999/",
        "",
    ],
)
def test_a_link_to_another_origin_is_refused(client: Client, linked: NewKey, target: str) -> None:
    client.cookies["ac_twin"] = ID
    answer = follow(client, linked, target)
    assert (answer.status_code, answer.headers.get("Location")) == (400, None)
    assert ID not in answer.content.decode()
    assert 'href="javascript' not in answer.content.decode()


@pytest.mark.parametrize(
    "host", ["boßgame.example", "boss\u200dgame.example", "ｂossgame.example", "bossgameς.example"]
)
def test_a_host_that_browsers_read_in_another_way_is_refused(client: Client, key: NewKey, host: str) -> None:
    """Python reads ß as ss, browsers do not: the token would go to the owner of another host."""
    key.key.allowed_origins = ["https://bossgame.example", "https://bossgameσ.example".encode("idna").decode()]
    key.key.save()
    client.cookies["ac_twin"] = ID
    answer = follow(client, key, f"https://{host}/")
    assert (answer.status_code, answer.headers.get("Location")) == (400, None)


def test_a_key_without_origins_allows_no_links(client: Client, key: NewKey, secret_key: NewKey) -> None:
    for value in (key, secret_key):
        assert follow(client, value, "https://game.example/").status_code == 400


def test_a_visitor_reaches_the_page_although_the_link_cannot_be_checked(client: Client, linked: NewKey) -> None:
    """The key may have been revoked since the code was put on the website."""
    revoke_key(key=linked.key)
    client.cookies["ac_twin"] = ID
    answer = follow(client, linked, "https://game.example/?a=1&b=<script>")
    page = answer.content.decode()
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert 'href="https://game.example/?a=1&amp;b=&lt;script&gt;"' in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert ID not in page


@pytest.mark.django_db(transaction=True)
def test_without_the_database_a_visitor_reaches_the_page_and_gets_an_id(client: Client, linked: NewKey) -> None:
    with postgresql_away():
        answer = follow(client, linked, "https://game.example/buy")
        handed = ask(client, id=ID, key=linked.value)
    assert (answer.status_code, 'href="https://game.example/buy"' in answer.content.decode()) == (503, True)
    assert (handed.status_code, handed.json()) == (200, {"id": ID})


def test_an_id_without_a_token_costs_no_query(
    client: Client, key: NewKey, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        ask(client, id=ID, key=key.value)
        ask(client, id=ID, key=key.value, token="forged")


def test_a_token_is_valid_for_two_minutes_one_game_and_one_browser(
    client: Client, linked: NewKey, other_game: Game
) -> None:
    client.cookies["ac_twin"] = ID
    start = datetime(2026, 4, 8, 12, tzinfo=UTC)
    with time_machine.travel(start, tick=False):
        token = token_of(client, linked)
    other_key = create_key(game=other_game, name="other")
    for seconds, key, headers, expected in (
        (119, linked, OWN, ID),
        (121, linked, OWN, OTHER),
        (1, other_key, OWN, OTHER),
        (1, linked, {**OWN, "User-Agent": "another"}, OTHER),
    ):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            assert ask(Client(), headers, id=OTHER, key=key.value, token=token).json() == {"id": expected}
    assert ask(Client(), id=OTHER, key=linked.value, token=token[:-1]).json() == {"id": OTHER}


def test_a_token_is_read_as_it_is_in_the_url(client: Client, linked: NewKey) -> None:
    client.cookies["ac_twin"] = ID
    token = quote(token_of(client, linked))
    assert "%3A" in token
    assert ask(Client(), id=OTHER, key=linked.value, token=token).json() == {"id": ID}
