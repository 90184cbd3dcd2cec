"""Live events: accepted and rejected messages in one list, newest first."""

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.games.keys import NewKey, create_key
from audience.hub.events import counts, selection
from audience.hub.toolkit import masking
from audience.models import ApiKey, Batch, Event, Game, Rejection, Role
from audience.wording import dates
from tests import factories, hub

NOW = timezone.now()


def event(game: Game, number: int, **given: object) -> Event:
    fields = {
        "game_id": game.pk,
        "day": NOW.date(),
        "message_id": f"event-{number}",
        "kind": "track",
        "name": f"event_{number}",
        "event_at": NOW,
        "received_at": NOW + timedelta(seconds=number),
        "dialect": "immutable",
    }
    return Event.objects.create(**{**fields, **given})


def rejection(game: Game, number: int, **given: object) -> Rejection:
    fields = {
        "game": game,
        "dialect": "rudderstack",
        "message_id": f"refused_{number}",
        "received_at": NOW + timedelta(seconds=number),
        "errors": [{"field": "eventName", "code": "REQUIRED", "message": "eventName is required"}],
        "raw": {},
    }
    return Rejection.objects.create(**{**fields, **given})


def names(page: str) -> list[str]:
    return re.findall(r"(?:event|refused)_\d+", page)


@pytest.fixture
def viewer(game: Game) -> Client:
    return hub.member(game, Role.VIEWER)


def test_events_and_rejections_are_one_list(game: Game, viewer: Client) -> None:
    for number in range(6):
        (rejection if number % 3 == 0 else event)(game, number)
    page = viewer.get(f"/g/{game.slug}/events/").content.decode()
    assert names(page) == ["event_5", "event_4", "refused_3", "event_2", "event_1", "refused_0"]
    assert "eventName is required" in page
    assert "RudderStack / Segment" in page


def test_events_of_another_game_are_not_listed(game: Game, other_game: Game, viewer: Client) -> None:
    event(other_game, 1)
    rejection(other_game, 2)
    assert names(viewer.get(f"/g/{game.slug}/events/").content.decode()) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=accepted", ["event_2", "event_1"]),
        ("status=rejected", ["refused_3"]),
        ("kind=page", ["event_2"]),
        ("kind=nonsense&status=nonsense&before=x", ["refused_3", "event_2", "event_1"]),
    ],
)
def test_filters_are_in_the_url(game: Game, viewer: Client, query: str, expected: list[str]) -> None:
    event(game, 1)
    event(game, 2, kind="page")
    rejection(game, 3)
    assert names(viewer.get(f"/g/{game.slug}/events/?{query}").content.decode()) == expected


def test_older_pages_list_every_row_once(game: Game, viewer: Client) -> None:
    same = NOW + timedelta(hours=1)
    for number in range(130):
        (rejection if number % 4 == 0 else event)(game, number, received_at=same)
    seen: list[str] = []
    url = f"/g/{game.slug}/events/"
    for _ in range(4):
        page = viewer.get(url).content.decode()
        seen += names(page)
        older = re.search(r'href="(\?before=[^"]+)">Older', page)
        if not older:
            break
        url = f"/g/{game.slug}/events/{older[1]}"
    assert len(seen) == 130
    assert len(set(seen)) == 130


def test_a_refresh_returns_only_the_rows(game: Game, viewer: Client) -> None:
    event(game, 1)
    rows = viewer.get(f"/g/{game.slug}/events/", headers={"HX-Request": "true"}).content.decode()
    assert names(rows) == ["event_1"]
    assert "<html" not in rows


def test_a_viewer_sees_ids_and_masked_addresses(game: Game, viewer: Client) -> None:
    event(game, 1, user_id="ada.lovelace@example.com", anonymous_id="anon-7")
    url = f"/g/{game.slug}/events/"
    page = viewer.get(url).content.decode()
    assert "ada.lovelace" not in page
    assert "a…@example.com" in page
    assert "anon-7" in page
    assert "ada.lovelace@example.com" in hub.member(game, Role.MARKETER).get(url).content.decode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=event_2", ["event_2"]),
        ("name=purchase", ["refused_4"]),
        ("dialect=parcelvoy", ["event_2"]),
        ("id=user-1", ["refused_4", "event_1"]),
        ("id=dev-3", ["event_3"]),
        ("id=nobody", []),
        ("kind=track&status=rejected", ["refused_5", "refused_4"]),
    ],
)
def test_each_filter_applies_to_events_and_rejections(
    game: Game, viewer: Client, query: str, expected: list[str]
) -> None:
    event(game, 1, user_id="user-1")
    event(game, 2, dialect="parcelvoy", kind="page")
    event(game, 3, device_id="dev-3")
    rejection(game, 4, raw={"type": "track", "event": "purchase", "userId": "user-1"}, subjects=["user-1"])
    rejection(game, 5, raw=[{"name": "boss"}], route="track")
    # The name stands in its field as well.
    main = viewer.get(f"/g/{game.slug}/events/?{query}").content.decode().split('class="card')[-1]
    assert names(main) == expected


def test_a_key_filter_shows_its_events_and_its_counts(game: Game, viewer: Client, key: NewKey) -> None:
    other = create_key(game=game, name="other").key
    for number, owner in ((1, key.key), (2, other)):
        event(game, number, key_id=owner.pk)
        rejection(game, number + 2, key=owner)
        _batch(game, owner, accepted=number, duplicates=10 * number, rejected=100 * number)
    page = viewer.get(f"/g/{game.slug}/events/?key={other.pk}").content.decode()
    assert names(page) == ["refused_4", "event_2"]
    assert f"{dates.weekday(NOW)}: 2 accepted, 20 duplicate, 200 rejected" in page


def test_the_chart_is_followed_by_counts_per_day_and_key(game: Game, viewer: Client, key: NewKey) -> None:
    _batch(game, key.key, accepted=1200, duplicates=1, rejected=0)
    _batch(game, key.key, accepted=300, duplicates=0, rejected=2, received_at=NOW - timedelta(days=2))
    _batch(game, key.key, accepted=7, duplicates=0, rejected=0, received_at=NOW - timedelta(days=8))
    chart = counts.read_counts(game)
    assert (chart.total.accepted, chart.total.duplicates, chart.total.rejected) == (1500, 1, 2)
    assert [(line.day, line.key, line.count.accepted) for line in chart.key_days] == [
        (NOW.date(), "web", 1200),
        (NOW.date() - timedelta(days=2), "web", 300),
    ]
    assert [[bar.height for bar in day.bars] for day in chart.days[-3:]] == [[14, 0, 2], [0, 0, 0], [56, 2, 0]]
    table = viewer.get(f"/g/{game.slug}/events/counts/").content.decode()
    assert "1,200" in table
    assert "<html" not in table


def test_a_filter_without_an_index_stops_at_the_scan_limit_and_continues_from_there(
    game: Game, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "SCAN_LIMIT", 10)
    for number in range(25):
        event(game, number, dialect="parcelvoy" if number in (2, 20) else "immutable")
    seen, url = [], f"/g/{game.slug}/events/?dialect=parcelvoy"
    for _ in range(3):
        page = viewer.get(url).content.decode()
        seen.append(names(page))
        older = re.search(r'href="(\?[^"]+)">Older', page)
        url = f"/g/{game.slug}/events/{older[1].replace('&amp;', '&')}" if older else ""
    assert seen == [["event_20"], [], ["event_2"]]
    assert url == ""


def test_the_page_of_an_event_shows_what_was_sent_and_how_it_was_parsed(game: Game, key: NewKey) -> None:
    person = factories.person(game, user="ada@players.example")
    row = event(
        game,
        1,
        user_id="ada@players.example",
        key_id=key.key.pk,
        consent_level="full",
        properties={"contact": {"list": ["ada@players.example"]}, "phone": 15550104477},
        context={"page_url": "https://x.example/?e=ada%40players.example"},
        raw={"userId": "ada@players.example", "token": "t" * 40, "note": "sk_imapik-verysecretindeed"},
    )
    url = f"/g/{game.slug}/events/{NOW:%Y-%m-%d}/{row.pk}/"
    page = hub.member(game, Role.MARKETER).get(url).content.decode()
    assert "ada@players.example" in page
    assert "15550104477" in page
    assert f"/people/{person.pk}/" in page
    assert "&quot;token&quot;: &quot;tttttttt…&quot;" in page
    assert "verysecret" not in page
    assert f"web<code>{key.key.prefix}…</code>, publishable key (public), Immutable Audience" in hub.normalized_html(
        page
    )
    part = hub.member(game, Role.VIEWER).get(url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert part.count("a…@players.example") + part.count("a…%40players.example") == 4
    assert "…77" in part
    assert not re.search(r"ada(@|%40)|155501044", part)


def test_the_page_of_a_rejection_shows_every_reason(game: Game, key: NewKey) -> None:
    errors = [
        {"field": "userId", "code": "INVALID_VALUE", "message": "userId is too long."},
        {"field": "context", "code": "REQUIRED", "message": "context is required."},
    ]
    raw = {"userId": "ada@players.example", "traits": {"mobile": "+1 (555) 010-4477"}}
    row = rejection(
        game, 1, key=key.key, errors=errors, raw=raw, frame={"sent_at": "2026-01-01"}, subjects=["ada@players.example"]
    )
    url = f"/g/{game.slug}/events/rejections/{row.pk}/"
    page = hub.member(game, Role.MARKETER).get(url).content.decode()
    for text in ("userId is too long.", "context is required.", "INVALID_VALUE", "ada@players.example", "2026-01-01"):
        assert text in page
    assert "Validate again" in page
    viewer = hub.member(game, Role.VIEWER)
    for path in (url, f"/g/{game.slug}/events/"):
        seen = viewer.get(path).content.decode()
        assert "ada@" not in seen
        assert "010-4477" not in seen
        assert "Validate again" not in seen


@pytest.mark.parametrize("path", ["2026-01-01/999/", "rejections/999/", "2026-02-31/1/"])
def test_a_deleted_row_is_not_found(game: Game, viewer: Client, path: str) -> None:
    assert viewer.get(f"/g/{game.slug}/events/{path}").status_code == 404


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada@example.com", "a…@example.com"),
        ("mail björn.å+x@spiel.example now", "mail b…@spiel.example now"),
        ("?e=ada%40example.com&x=1", "?e=a…%40example.com&x=1"),
        ("50%zada@example.com", "5…@example.com"),
        ("call +1 (555) 010-4477 now", "call +…77 now"),
        ("2026-04-08T12:00:00+00:00 @home", "2026-04-08T12:00:00+00:00 @home"),
    ],
)
def test_addresses_are_masked_anywhere_in_a_text(text: str, expected: str) -> None:
    assert masking.without_addresses(text) == expected


def test_masking_a_long_text_is_fast() -> None:
    started = time.perf_counter()
    for text in ("a." * 50_000, "%41" * 30_000, "+1" * 50_000, "@" * 50_000, "+1 " + "1" * 90_000):
        masking.without_addresses(text)
    assert time.perf_counter() - started < 2


def _batch(game: Game, key: ApiKey, **given: Any) -> Batch:
    fields = {"received_at": NOW, "dialect": "immutable", "event_ids": [], "state": "done"}
    return Batch.objects.create(game=game, key=key, **{**fields, **given})
