"""The time zone of a user, else of the game: chosen on a page, and shown on every other one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core import mail
from django.test import Client
from django.utils import timezone

from audience.models import AccountSettings, Batch, Game, Membership, Role
from postbacks.models import Alert, AlertEnding, Notice, NoticeKind
from postbacks.monitoring.alerts import notices
from tests import factories, hub

URL = "/accounts/time-zone/"
AT = datetime(2026, 11, 20, 16, 30, 5, tzinfo=UTC)


def choose(client: Client, zone: str) -> str:
    return client.post(URL, {"time_zone": zone}, follow=True).content.decode()


@pytest.fixture
def viewer(game: Game) -> Client:
    return hub.member(game, Role.VIEWER)


def test_a_viewer_chooses_a_time_zone_and_goes_back_to_that_of_each_game(game: Game, viewer: Client) -> None:
    assert "Times are shown in Asia/Tokyo." in choose(viewer, "Asia/Tokyo")
    assert AccountSettings.objects.get().time_zone == "Asia/Tokyo"
    (entry,) = LogEntry.objects.filter(content_type__model="accountsettings")
    assert entry.changes["time_zone"] == ["None", "Asia/Tokyo"]
    assert '<option value="Asia/Tokyo" selected>' in viewer.get(URL).content.decode()
    assert "Times are shown in the time zone of each game." in choose(viewer, "game")
    assert AccountSettings.objects.get().time_zone == ""


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "Asia/Tokyo\0", "../../etc/passwd"])
def test_a_time_zone_that_does_not_exist_is_refused(viewer: Client, zone: str) -> None:
    answer = viewer.post(URL, {"time_zone": zone})
    assert answer.status_code == 200
    assert 'class="errorlist"' in answer.content.decode() or "error" in answer.content.decode()
    assert not AccountSettings.objects.exists()


def test_the_page_is_for_signed_in_users_and_in_the_menu(game: Game, viewer: Client) -> None:
    assert Client().get(URL).status_code == 302
    assert f'href="{URL}"' in viewer.get(f"/g/{game.slug}/conversions/").content.decode()


@pytest.mark.parametrize(
    ("of_user", "of_game", "expected"),
    [
        ("", "UTC", "Nov 20, 2026, 16:30:05 UTC"),
        ("", "Europe/Berlin", "Nov 20, 2026, 17:30:05 CET"),
        ("", "Mars/Olympus", "Nov 20, 2026, 16:30:05 UTC"),
        ("Asia/Tokyo", "Europe/Berlin", "Nov 21, 2026, 01:30:05 JST"),
        ("Asia/Kathmandu", "Europe/Berlin", "Nov 20, 2026, 22:15:05 UTC+5:45"),
    ],
)
def test_times_are_in_the_zone_of_the_user_else_of_the_game(
    game: Game, viewer: Client, of_user: str, of_game: str, expected: str
) -> None:
    Game.objects.update(time_zone=of_game)
    if of_user:
        choose(viewer, of_user)
    factories.conversion(factories.person(game), event_at=AT, fanned_out_at=AT)
    page = viewer.get(f"/g/{game.slug}/conversions/?from=2026-11-19&to=2026-11-22").content.decode()
    assert f'title="{expected}"' in page
    assert f'datetime="{AT.isoformat()}"' in page or of_game == "Europe/Berlin" or of_user


def test_the_zone_of_one_page_is_not_that_of_the_next(game: Game, viewer: Client) -> None:
    choose(viewer, "Asia/Tokyo")
    viewer.get(f"/g/{game.slug}/")
    assert timezone.get_current_timezone_name() == "UTC"


def test_the_days_of_a_list_and_of_a_chart_begin_in_that_zone(game: Game, viewer: Client) -> None:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    choose(viewer, "Asia/Kathmandu")
    midnight = now.astimezone(UTC).replace(hour=18, minute=15) - timedelta(days=2)
    fields = {"dialect": "immutable", "duplicates": 0, "rejected": 0, "event_ids": [], "state": "done"}
    for minutes, accepted in ((-1, 1), (0, 10), (24 * 60 - 1, 100), (24 * 60, 1000)):
        at = midnight + timedelta(minutes=minutes)
        Batch.objects.create(game=game, received_at=at, accepted=accepted, **fields)
    day = (midnight + timedelta(hours=12)).date().isoformat()
    page = hub.normalized_html(viewer.get(f"/g/{game.slug}/?from={day}&to={day}").content.decode())
    assert "110 accepted, 0 rejected." in page
    chart = hub.normalized_html(viewer.get(f"/g/{game.slug}/events/counts/").content.decode())
    assert "110 accepted, 0 duplicate, 0 rejected" in chart
    assert "Day (Asia/Kathmandu)" in chart


def test_the_mail_of_an_alert_has_the_zone_of_its_reader(game: Game) -> None:
    Game.objects.update(time_zone="Europe/Berlin")
    config = factories.config(game)
    times = {"opened_at": AT, "recovered_at": AT + timedelta(hours=3, minutes=30), "ending": AlertEnding.RECOVERED}
    alert = Alert.objects.create(game=game, config=config, health="degraded", cause="HTTP 503.", **times)
    for name, zone in (("ada", "Asia/Tokyo"), ("bob", "")):
        person: Any = hub.user(name)
        Membership.objects.create(game=game, user=person, role=Role.MARKETER)
        AccountSettings.objects.create(user=person, time_zone=zone)
        Notice.objects.create(game=game, user=person, alert=alert, kind=NoticeKind.RECOVERED)
    notices.deliver_notices()
    said = {sent.to[0].split("@")[0]: sent.body for sent in mail.outbox}
    assert "The alert lasted Nov 21, 01:30 – 05:00 JST, 3 h 30 min. HTTP 503." in said["ada"]
    assert "The alert lasted Nov 20, 17:30 – 21:00 CET, 3 h 30 min. HTTP 503." in said["bob"]


def test_no_page_of_a_game_needs_a_query_more_for_the_zone(game: Game, viewer: Client) -> None:
    from tests.queries import queries_of

    before = queries_of(lambda: viewer.get(f"/g/{game.slug}/conversions/"))
    choose(viewer, "Asia/Tokyo")
    assert queries_of(lambda: viewer.get(f"/g/{game.slug}/conversions/")) == before
