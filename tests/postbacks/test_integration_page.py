"""The page of a network: its parts, filters, side panel and queries."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.hub.toolkit.date_range import DateRange, read_range
from audience.models import Game
from audience.models import goals as followed
from postbacks.hub.integrations import calls
from postbacks.models import CredentialCheck, DeliveryAttempt, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.reporting import attempt_log
from tests import factories, hub

NOON = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


def day(now: datetime) -> DateRange:
    """The last 24 hours."""
    return read_range(RequestFactory().get("/"), now=now, default="24h")


def per_hour(config: PostbackConfig, now: datetime) -> dict[datetime, dict[str, int]]:
    return {start: counts for (start, _), counts in calls.per_column([config.pk], day(now).edges).items()}


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/"


def part(client: Client, url: str, target: str) -> str:
    """What htmx gets for the element with this id."""
    return client.get(url, headers={"HX-Request": "true", "HX-Target": target}).content.decode()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).replace("\xa0", " ").split())


def shown(html: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'<tr id="row-(\d+)"', html)]


def older(html: str) -> str:
    """The address of the next page, '' on the last."""
    found = re.search(r'href="(\?[^"]*before=[^"]+)">Older', html)
    return found[1].replace("&amp;", "&") if found else ""


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("tiktok", 'ttq.track("Purchase", {…}, {event_id: "evt-8f14e45f"})'),
        ("reddit", 'rdt("track", "Purchase", {conversionId: "evt-8f14e45f"})'),
        ("snapchat", 'snaptr("track", "PURCHASE", {client_dedup_id: "evt-8f14e45f"})'),
        ("meta", 'fbq("track", "Purchase", {…}, {eventID: "evt-8f14e45f"})'),
    ],
)
def test_the_page_says_how_to_give_the_browser_pixel_the_same_event_id(
    game: Game, viewer: Client, kind: str, call: str
) -> None:
    page = viewer.get(f"/g/{game.slug}/integrations/{kind}/").content.decode()
    text = unescape(words(page.split('id="pixel"')[1].partition("</p>")[0]))
    assert call in text
    assert 'In the event that you send to Afterclick, use the property event_id: "evt-8f14e45f"' in text


# The log ------------------------------------------------------------------------------------


def test_the_log_is_filtered_by_event(config: PostbackConfig, viewer: Client, url: str) -> None:
    launch = factories.attempt(factories.delivery(config, trigger="game_launch"))
    bought = factories.attempt(factories.delivery(config, trigger="purchase"), status="failed")
    assert shown(viewer.get(url).content.decode()) == [bought.pk, launch.pk]
    assert shown(viewer.get(url + "?event=game_launch").content.decode()) == [launch.pk]
    assert shown(viewer.get(url + "?event=purchase&status=failed").content.decode()) == [bought.pk]
    assert shown(viewer.get(url + "?event=purchase&status=success").content.decode()) == []
    assert shown(viewer.get(url + "?event=unheard_of").content.decode()) == [bought.pk, launch.pk]


def test_the_events_of_goals_can_be_chosen(config: PostbackConfig, game: Game, viewer: Client, url: str) -> None:
    followed.add_goal_events(game=game, names=["level_up"])
    up = factories.attempt(factories.delivery(config, trigger="level_up"))
    factories.attempt(factories.delivery(config))
    page = viewer.get(url).content.decode()
    assert '<option value="level_up">' in page
    assert shown(viewer.get(url + "?event=level_up").content.decode()) == [up.pk]


def test_a_filter_by_a_rare_event_stops_at_the_scan_limit_and_continues_from_there(
    config: PostbackConfig, viewer: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_log, "SCAN_LIMIT", 3)
    rare = factories.attempt(factories.delivery(config, trigger="game_launch"), ago=timedelta(minutes=50))
    bought = factories.delivery(config)
    for minutes in range(5):
        factories.attempt(bought, ago=timedelta(minutes=minutes))
    first = viewer.get(url + "?event=game_launch").content.decode()
    assert "No matches in the newest 3 attempts" in first
    second = viewer.get(url + older(first)).content.decode()
    assert shown(second) == [rare.pk]
    third = viewer.get(url + older(second)).content.decode() if older(second) else ""
    assert shown(third) == []
    assert older(third) == ""


@pytest.mark.parametrize("query", ["", "event=purchase&", "status=success&", "event=purchase&status=success&"])
def test_the_log_merges_the_attempts_of_two_postbacks(
    config: PostbackConfig, game: Game, viewer: Client, url: str, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(attempt_log, "PAGE_SIZE", 7)
    other = factories.config(game, pixel_id="D" * 20)
    rows = [factories.delivery(config), factories.delivery(other)]
    at = timezone.now() - timedelta(minutes=1)  # at one moment, so that the ids decide
    made = [factories.attempt(rows[number % 2], started_at=at).pk for number in range(20)]
    page = viewer.get(f"{url}?{query}range=1h").content.decode()
    seen, pages = shown(page), 1
    while way := older(page):
        page = viewer.get(url + way).content.decode()
        seen, pages = seen + shown(page), pages + 1
    assert (seen, pages) == (sorted(made, reverse=True), 3)


def test_with_several_postbacks_a_row_names_its_pixel(
    config: PostbackConfig, game: Game, viewer: Client, url: str
) -> None:
    factories.attempt(factories.delivery(config))
    assert config.pixel_id not in words(part(viewer, url, "rows"))
    factories.config(game, pixel_id="D" * 20)
    assert config.pixel_id in words(part(viewer, url, "rows"))


@pytest.mark.parametrize(("target", "holds"), [("rows", ""), ("log", 'id="log"'), ("state", "config-")])
def test_a_refresh_of_one_part_returns_only_that_part(
    config: PostbackConfig, viewer: Client, url: str, target: str, holds: str
) -> None:
    factories.attempt(factories.delivery(config))
    answer = part(viewer, url, target)
    assert "<html" not in answer
    assert "<h1" not in answer
    assert holds in answer


def test_a_history_restore_request_returns_the_whole_page(config: PostbackConfig, viewer: Client, url: str) -> None:
    asked = {"HX-Request": "true", "HX-Target": "log", "HX-History-Restore-Request": "true"}
    assert "<html" in viewer.get(url, headers=asked).content.decode()


def test_only_the_first_page_refreshes_itself(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = factories.attempt(factories.delivery(config))
    assert 'hx-trigger="every 5s"' in part(viewer, url, "log")
    before = f"{url}?before={timezone.now():%Y-%m-%dT%H:%M:%S}%2B00:00~{row.pk}"
    page = part(viewer, before, "log")
    assert shown(page) == [row.pk]
    assert 'hx-trigger="every 5s"' not in page


def test_a_viewer_sees_masked_addresses_in_the_networks_answers(
    config: PostbackConfig, viewer: Client, marketer: Client, url: str
) -> None:
    said = "Invalid value ada@example.com"
    row = factories.attempt(factories.delivery(config), status="failed", message=said)
    for where in (url, f"{url}attempts/{row.pk}/"):
        assert "a…@example.com" in viewer.get(where).content.decode()
        assert "ada@example.com" not in viewer.get(where).content.decode()
        assert "ada@example.com" in marketer.get(where).content.decode()
    row.refresh_from_db()
    assert row.message == said


# The postbacks ------------------------------------------------------------------------------


def test_a_postback_shows_its_rate_and_its_last_delivery(config: PostbackConfig, viewer: Client, url: str) -> None:
    for number in range(3):
        state = "failed" if number == 0 else "delivered"
        row = factories.delivery(config, state=state, next_attempt_at=None, finished_at=timezone.now())
        status = {"failed": "failed", "delivered": "success"}[state]
        factories.attempt(row, status=status, verdict="payload" if number == 0 else "success", ago=timedelta(hours=2))
    row_of_config = part(viewer, url, "state").split("<tbody>")[1].split("</tbody>")[0]
    assert "66.6% of 3 in 24 h 2 hours ago" in words(row_of_config)


def test_the_last_delivery_is_shown_however_old_it_is(config: PostbackConfig, viewer: Client, url: str) -> None:
    factories.attempt(factories.delivery(config, state="delivered"), ago=timedelta(days=20))
    factories.attempt(factories.delivery(config), ago=timedelta(hours=1), status="failed", verdict="payload")
    assert "2 weeks, 6 days ago" in words(part(viewer, url, "state"))


def test_a_new_postback_has_delivered_nothing_yet(config: PostbackConfig, viewer: Client, url: str) -> None:
    state = part(viewer, url, "state")
    assert "None yet" in state
    assert "Deliveries per hour" not in state


def test_a_postback_with_a_refused_credential_offers_a_rotation(
    config: PostbackConfig, viewer: Client, marketer: Client, url: str
) -> None:
    rotate = f'data-panel href="{url}{config.pk}/edit/?rotate=1">Rotate credentials'
    assert rotate not in hub.normalized_html(marketer.get(url).content.decode())
    PostbackConfig.objects.update(held_at=timezone.now(), held_for="token", held_message="TikTok Ads refused.")
    assert rotate in hub.normalized_html(marketer.get(url).content.decode())
    assert "Rotate credentials</a>" not in hub.normalized_html(viewer.get(url).content.decode())


def test_a_network_without_a_postback_shows_the_first_steps(
    game: Game, viewer: Client, marketer: Client, url: str
) -> None:
    page = words(marketer.get(url).content.decode())
    assert "Prepare two things: the access token and the pixel code of your pixel." in page
    assert "then Settings, then Generate Access Token." in page
    assert "Marketers and admins of the game can add one." in words(viewer.get(url).content.decode())


# The chart ----------------------------------------------------------------------------------


def test_the_chart_counts_calls_per_hour_and_status(config: PostbackConfig) -> None:
    row = factories.delivery(config)
    with time_machine.travel(NOON, tick=False):
        factories.attempt(row, ago=timedelta(minutes=1))
        factories.attempt(row, ago=timedelta(minutes=20), status="failed")
        factories.attempt(row, ago=timedelta(hours=1), status="retried")
        factories.attempt(row, ago=timedelta(hours=1), status="retried")
        factories.attempt(row, ago=timedelta(hours=1), status="sending")
        factories.attempt(row, ago=timedelta(hours=25))
    found = per_hour(config, NOON)
    assert len(found) == 24
    assert {f"{hour:%H}": ended for hour, ended in found.items() if ended} == {
        "11": {"retried": 2},
        "12": {"success": 1, "failed": 1},
    }
    chart = calls.chart([config.pk], day(NOON), log_url="/log/")
    assert calls.description(chart, day(NOON)) == (
        "Calls to the network per hour in the last 24 hours: 1 success, 2 retried, 1 failed."
    )


def test_pruned_attempts_stay_in_the_chart(config: PostbackConfig) -> None:
    row = factories.delivery(config)
    for hours in (0, 1, 2):
        factories.attempt(row, started_at=NOON - timedelta(hours=hours))
    before = per_hour(config, NOON)
    DeliveryAttempt.objects.filter(started_at__lt=NOON - timedelta(minutes=90)).delete()
    factories.attempt(row, started_at=NOON)
    after = per_hour(config, NOON)
    assert [ended.get("success", 0) for ended in before.values()][-3:] == [1, 1, 1]
    assert [ended.get("success", 0) for ended in after.values()][-3:] == [1, 1, 2]
    later = per_hour(config, NOON + timedelta(hours=1))
    assert [ended.get("success", 0) for ended in later.values()][-4:] == [1, 1, 2, 0]


def test_an_attempt_that_ends_late_counts_in_the_hour_of_its_start(config: PostbackConfig) -> None:
    row = factories.delivery(config)
    open_one = factories.attempt(row, started_at=NOON - timedelta(minutes=31), status="sending")
    soon = NOON - timedelta(minutes=27)  # 12:03
    assert not any(per_hour(config, soon).values())
    DeliveryAttempt.objects.filter(pk=open_one.pk).update(status="success")
    assert list(per_hour(config, soon).values())[-2] == {"success": 1}


# The side panel -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["add/", "{config}/edit/", "attempts/{attempt}/"])
def test_the_side_panel_shows_the_page_without_its_frame(
    config: PostbackConfig, marketer: Client, url: str, path: str
) -> None:
    # So long ago that both are looked at in the same hour of it.
    PostbackConfig.objects.update(validated_at=timezone.now() - timedelta(days=3, hours=1))
    row = factories.attempt(factories.delivery(config))
    where = url + path.format(config=config.pk, attempt=row.pk)
    page, beside = marketer.get(where).content.decode(), part(marketer, where, "panel")
    assert "<html" in page
    assert 'id="panel-title"' not in page
    assert "<html" not in beside
    assert "<h1" not in beside
    assert 'id="panel-title"' in beside
    assert f'href="{where}">Full page' in beside
    body = re.split(r"</h1>\s*</div>", page)[1].split("</main>")[0]
    without_token = [re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", html) for html in (body, beside)]
    assert words(without_token[0]) in words(without_token[1])


def test_a_viewer_can_open_an_attempt_but_no_form_in_the_side_panel(
    config: PostbackConfig, viewer: Client, url: str
) -> None:
    row = factories.attempt(factories.delivery(config))
    assert 'id="panel-title"' in part(viewer, f"{url}attempts/{row.pk}/", "panel")
    assert viewer.get(f"{url}add/", headers={"HX-Request": "true", "HX-Target": "panel"}).status_code == 403


def test_the_rotation_section_is_open_when_a_credential_is_refused(
    config: PostbackConfig, marketer: Client, url: str
) -> None:
    edit = f"{url}{config.pk}/edit/"
    opened = re.compile(r"<details[^>]* open>\s*<summary>Rotate credentials")
    assert not opened.search(marketer.get(edit).content.decode())
    assert opened.search(marketer.get(edit + "?rotate=1").content.decode())
    PostbackConfig.objects.update(suspected_at=timezone.now())
    assert opened.search(marketer.get(edit).content.decode())


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_the_form_says_where_the_credentials_are_found(game: Game, marketer: Client, kind: str) -> None:
    page = marketer.get(f"/g/{game.slug}/integrations/{kind}/add/").content.decode()
    steps = re.findall(r"<li>([^<]+)</li>", page.split("Where do I find these?")[1].split("</details>")[0])
    assert steps == [
        step.replace("'", "&#x27;") for step in (*NETWORKS[kind].credential_steps, *NETWORKS[kind].pixel_steps)
    ]
    assert len(steps) >= 4


def test_a_slow_check_shows_what_it_waits_for(game: Game, marketer: Client, url: str) -> None:
    check = CredentialCheck.objects.create(game=game, network="tiktok", pixel_id="C" * 20, triggers=["purchase"])
    where = f"{url}checks/{check.pk}/"
    assert marketer.get(where, headers={"HX-Request": "true", "HX-Target": "answer"}).status_code == 204
    CredentialCheck.objects.update(created_at=timezone.now() - timedelta(seconds=16))
    assert "the check is waiting for a worker" in part(marketer, where, "answer")


# Queries ------------------------------------------------------------------------------------


def queries(look: Callable[[], Any]) -> int:
    look()  # sessions and kept hours
    with CaptureQueriesContext(connection) as seen:
        look()
    return len(seen)


@pytest.mark.parametrize("query", ["", "?range=30d&status=failed", "?event=purchase"])
def test_the_integration_page_needs_no_more_queries_for_more_rows(
    config: PostbackConfig, marketer: Client, url: str, query: str
) -> None:
    def fill(count: int) -> None:
        for _ in range(count):
            row = factories.delivery(config, state="failed", verdict="payload", finished_at=timezone.now())
            factories.attempt(row, status="failed", verdict="payload", message="No")

    fill(2)
    few = queries(lambda: marketer.get(url + query))
    fill(30)
    many = queries(lambda: marketer.get(url + query))
    assert many == few
    assert few <= 22


def test_a_refresh_of_the_integration_page_needs_few_queries(config: PostbackConfig, viewer: Client, url: str) -> None:
    factories.attempt(factories.delivery(config))
    assert queries(lambda: part(viewer, url, "rows")) <= 9
    assert queries(lambda: part(viewer, url, "state")) <= 9


def test_an_attempt_of_another_game_is_not_found(game: Game, viewer: Client, url: str) -> None:
    row = factories.attempt(factories.delivery(factories.config(factories.game())))
    assert viewer.get(f"{url}attempts/{row.pk}/").status_code == 404
    assert viewer.get(f"{url}{uuid4()}/edit/").status_code in (403, 404)
