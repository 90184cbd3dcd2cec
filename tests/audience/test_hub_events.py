"""Live events: what came in and what was refused, newest first, in one list."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audience.models import Event, Game, Rejection, Role
from tests import hub

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


def test_events_and_rejections_stand_in_one_list(game: Game, viewer: Client) -> None:
    for number in range(6):
        (rejection if number % 3 == 0 else event)(game, number)
    page = viewer.get(f"/g/{game.slug}/events/").content.decode()
    assert names(page) == ["event_5", "event_4", "refused_3", "event_2", "event_1", "refused_0"]
    assert "eventName is required" in page
    assert "RudderStack / Segment" in page


def test_another_games_events_are_not_there(game: Game, other_game: Game, viewer: Client) -> None:
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
def test_filters_stand_in_the_address(game: Game, viewer: Client, query: str, expected: list[str]) -> None:
    event(game, 1)
    event(game, 2, kind="page")
    rejection(game, 3)
    assert names(viewer.get(f"/g/{game.slug}/events/?{query}").content.decode()) == expected


def test_older_pages_hold_every_row_once(game: Game, viewer: Client) -> None:
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


def test_the_refresh_is_the_rows_alone(game: Game, viewer: Client) -> None:
    event(game, 1)
    rows = viewer.get(f"/g/{game.slug}/events/", headers={"HX-Request": "true"}).content.decode()
    assert names(rows) == ["event_1"]
    assert "<html" not in rows


def test_a_viewer_reads_ids_and_no_addresses(game: Game, viewer: Client) -> None:
    event(game, 1, user_id="ada.lovelace@example.com", anonymous_id="anon-7")
    url = f"/g/{game.slug}/events/"
    page = viewer.get(url).content.decode()
    assert "ada.lovelace" not in page
    assert "a…@example.com" in page
    assert "anon-7" in page
    assert "ada.lovelace@example.com" in hub.member(game, Role.MARKETER).get(url).content.decode()
