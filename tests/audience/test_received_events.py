"""Live events of a time of receipt: found in a large game without reading what came after it."""

import re
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audience.hub.events import receipt_ids, selection
from audience.models import Event, Game, Role
from tests import hub
from tests.audience.test_hub_events import event, rejection

NOW = timezone.now().replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def viewer(game: Game) -> Client:
    return hub.member(game, Role.VIEWER)


@pytest.fixture
def large(game: Game, monkeypatch: pytest.MonkeyPatch) -> dict[int, list[int]]:
    """{hours ago: the ids of its events} of a game with more events than are read at once, most of them in one hour."""
    monkeypatch.setattr(selection, "SCAN_LIMIT", 10)
    monkeypatch.setattr(receipt_ids, "CLOSE_ENOUGH", 3)
    found: dict[int, list[int]] = {}
    number = 0
    for hours in range(30, 0, -1):
        at = NOW - timedelta(hours=hours) + timedelta(minutes=30)
        for _ in range(40 if hours == 20 else 2):
            number += 1
            found.setdefault(hours, []).append(event(game, number, received_at=at, event_at=at).pk)
    return found


def url_of(game: Game, hours: int) -> str:
    start = NOW - timedelta(hours=hours)
    end = start + timedelta(hours=1)
    return (
        f"/g/{game.slug}/events/?zone=UTC&from={start:%Y-%m-%d}&from_time={start:%H:%M}&to={end:%Y-%m-%d}"
        f"&to_time={end:%H:%M}"
    )


def listed(client: Client, url: str) -> tuple[list[int], int]:
    """The events of a list on all its pages, and the number of pages."""
    found, pages, path = [], 1, url.partition("?")[0]
    page = client.get(url).content.decode()
    found += re.findall(r'id="event-(\d+)"', page)
    while older := re.search(r'href="(\?[^"]*before=[^"]+)">Older', page):
        page, pages = client.get(path + older[1].replace("&amp;", "&")).content.decode(), pages + 1
        found += re.findall(r'id="event-(\d+)"', page)
    return [int(pk) for pk in found], pages


@pytest.mark.parametrize("hours", [1, 2, 12, 29, 30])
def test_an_hour_of_a_large_game_is_listed_at_once(
    game: Game, viewer: Client, large: dict[int, list[int]], hours: int
) -> None:
    found, pages = listed(viewer, url_of(game, hours))
    assert found == large[hours][::-1]
    assert pages <= 2


def test_a_busy_hour_is_listed_on_several_pages_and_ends(
    game: Game, viewer: Client, large: dict[int, list[int]]
) -> None:
    found, pages = listed(viewer, url_of(game, 20))
    assert found == large[20][::-1]
    assert pages <= 7


def test_an_hour_without_events_is_empty(game: Game, viewer: Client, large: dict[int, list[int]]) -> None:
    Event.objects.filter(pk__in=large[12]).delete()
    assert listed(viewer, url_of(game, 12))[0] == []
    assert listed(viewer, url_of(game, 300))[0] == []


def test_rejections_have_the_same_dates(game: Game, viewer: Client) -> None:
    at = NOW - timedelta(hours=5)
    inside, outside = (rejection(game, number, received_at=at + timedelta(hours=number)) for number in range(2))
    page = viewer.get(f"{url_of(game, 5)}&status=rejected").content.decode()
    assert f'id="rejection-{inside.pk}"' in page
    assert f'id="rejection-{outside.pk}"' not in page
    assert isinstance(at, datetime)


def test_a_closed_period_does_not_refresh_itself(game: Game, viewer: Client) -> None:
    assert 'hx-trigger="every 3s"' not in viewer.get(url_of(game, 5)).content.decode()
    assert 'hx-trigger="every 3s"' in viewer.get(f"/g/{game.slug}/events/?range=24h").content.decode()
