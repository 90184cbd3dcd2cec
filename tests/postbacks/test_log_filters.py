"""The delivery log: player and value, search, filters, dates, its chart, and the export of exactly the listed rows."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audience.accounts import time_zone
from audience.models import Conversion, Game, Role
from postbacks.models import Delivery, DeliveryAttempt, PostbackConfig
from postbacks.reporting import attempt_export, attempt_log
from tests import factories, hub

NOW = timezone.now()


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/"


def shown(page: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'id="attempt-(\d+)"', page)]


def get(client: Client, url: str) -> str:
    return client.get(url).content.decode()


def exported(client: Client, url: str, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"{url}log/export/{query}")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]


def sold(config: PostbackConfig, user: str, *, ago: timedelta = timedelta(minutes=5), **given: Any) -> DeliveryAttempt:
    """An attempt for a purchase of a player, with a click and an order of its own."""
    player = factories.person(config.game, user=user)
    click = factories.touch(player, click_id=f"click-{user}", parameter="ttclid", campaign={"utm_campaign": "spring"})
    properties = {"value": 9.99, "currency": "USD", "order_id": f"order-{user}"}
    fields = {"touch": click, "properties": properties, "user_id": user, "message_id": f"message-{user}"}
    row = factories.conversion(player, fanned_out_at=NOW, event_at=NOW - ago, **fields)
    delivery = factories.delivery(config, conversion=row, **{"state": "delivered", **given.pop("delivery", {})})
    return factories.attempt(delivery, ago=ago, **given)


def test_a_row_has_the_player_and_the_value(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = sold(config, "ada")
    page = hub.normalized_html(get(viewer, url))
    person = row.delivery.conversion.person_id  # type: ignore[union-attr]
    assert f'<td data-label="Player"><a class="anywhere" href="/g/{config.game.slug}/people/{person}/">ada</a>' in page
    assert '<td data-label="Value" class="number">9.99 USD</td>' in page
    Delivery.objects.update(conversion=None)
    page = hub.normalized_html(get(viewer, url))
    assert '<td data-label="Player"><span class="muted">Erased</span></td>' in page
    assert '<td data-label="Value" class="number">–</td>' in page


def test_a_row_says_how_long_after_the_event_it_was_sent(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = sold(config, "ada")
    Delivery.objects.update(event_at=row.started_at - timedelta(hours=7, minutes=55))
    assert "7 h 55 min after the event" in get(viewer, url)
    Delivery.objects.update(event_at=row.started_at - timedelta(minutes=1))
    assert "after the event" not in get(viewer, url)


@pytest.mark.parametrize("kind", ["", "message-", "click-", "order-"])
def test_the_log_is_searched_by_player_message_click_and_order(
    config: PostbackConfig, viewer: Client, url: str, kind: str
) -> None:
    old = sold(config, "ada", ago=timedelta(days=40))
    again = factories.attempt(old.delivery, ago=timedelta(days=39))
    sold(config, "bob")
    page = get(viewer, f"{url}?q={kind}ada")
    assert shown(page) == [again.pk, old.pk]
    assert "A search covers all periods." in page
    assert [line["attempt_id"] for line in exported(viewer, url, f"?q={kind}ada")] == [str(again.pk), str(old.pk)]
    nothing = get(viewer, f"{url}?q={kind}carol")
    assert "No delivery has this ID" in nothing
    assert shown(nothing) == []


def test_a_search_finds_only_deliveries_of_the_network(game: Game, viewer: Client, url: str) -> None:
    elsewhere = factories.config(game, network="reddit")
    row = sold(elsewhere, "ada")
    assert shown(get(viewer, f"{url}?q=ada")) == []
    assert shown(get(viewer, f"/g/{game.slug}/integrations/reddit/?q=ada")) == [row.pk]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [1, 2, 3, 4]),
        ("status=failed", [2]),
        ("state=delivered", [1]),
        ("state=waiting", [3]),
        ("state=failed&reason=credential", [2]),
        ("reason=transient", [3]),
        ("reason=too_old", [4]),
        ("state=delivered&reason=transient", []),
        ("event=purchase&state=failed", [2, 4]),
        ("state=odd&reason=odd&event=odd", [1, 2, 3, 4]),
    ],
)
def test_the_log_is_filtered_by_state_and_reason_and_so_is_the_export(
    config: PostbackConfig, viewer: Client, url: str, query: str, expected: list[int]
) -> None:
    minutes = {number: timedelta(minutes=number) for number in range(1, 5)}
    failed = {"delivery": {"state": "failed"}, "status": "failed", "verdict": "credential"}
    late = {"delivery": {"state": "failed", "reason": "too_old"}, "status": "retried", "verdict": ""}
    rows = {
        1: sold(config, "a", ago=minutes[1]),
        2: sold(config, "b", ago=minutes[2], **failed),
        3: sold(config, "c", ago=minutes[3], delivery={"state": "waiting"}, status="retried", verdict="transient"),
        4: sold(config, "d", ago=minutes[4], **late),
    }
    listed = [rows[number].pk for number in expected]
    assert shown(get(viewer, f"{url}?{query}")) == listed
    assert [int(line["attempt_id"]) for line in exported(viewer, url, f"?{query}")] == listed


def test_a_filter_stops_at_the_scan_limit_and_continues_from_there(
    config: PostbackConfig, viewer: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_log, "SCAN_LIMIT", 10)
    failed = sold(config, "ada", ago=timedelta(hours=2), delivery={"state": "failed"})
    done = factories.delivery(config, state="delivered")
    for number in range(25):
        factories.attempt(done, ago=timedelta(minutes=number))
    page, pages = get(viewer, f"{url}?state=failed"), 1
    while older := re.search(r'href="(\?[^"]*before=[^"]+)">Older', page):
        page, pages = get(viewer, url + older[1].replace("&amp;", "&")), pages + 1
    assert (shown(page), pages) == ([failed.pk], 3)
    assert [line["attempt_id"] for line in exported(viewer, url, "?state=failed")] == [str(failed.pk)]


def test_dates_and_hours_filter_the_log_in_the_users_time_zone(
    game: Game, config: PostbackConfig, viewer: Client, url: str
) -> None:
    delivery = factories.delivery(config)
    rows = {
        hour: factories.attempt(delivery, started_at=datetime(2026, 11, 20, hour, 30, tzinfo=UTC))
        for hour in (12, 13, 20, 21)
    }
    night = "?from=2026-11-20&from_time=22:00&to=2026-11-21&to_time=06:00"
    person: Any = game.memberships.get(role=Role.VIEWER).user
    time_zone.choose(user=person, time_zone="Asia/Tokyo")
    page = get(viewer, url + night)
    assert shown(page) == [rows[20].pk, rows[13].pk]
    assert "Nov 20, 22:00 – Nov 21, 06:00 JST" in page
    assert f'title="{"Nov 21, 2026, 05:30:00 JST"}"' in page
    time_zone.choose(user=person, time_zone="")
    assert shown(get(viewer, url + night)) == []
    assert len(exported(viewer, url, f"{night}&zone=Asia/Tokyo")) == 2


def test_a_bar_of_the_chart_leads_to_exactly_its_calls(
    game: Game, config: PostbackConfig, viewer: Client, url: str
) -> None:
    person: Any = game.memberships.get(role=Role.VIEWER).user
    delivery = factories.delivery(config)
    ago = [timedelta(hours=hours) for hours in (1, 5, 5, 9)]
    made = [factories.attempt(delivery, ago=each, status="retried") for each in ago]
    for zone in ("UTC", "Asia/Kathmandu"):
        time_zone.choose(user=person, time_zone=zone)
        page = hub.normalized_html(get(viewer, url))
        bars = re.findall(r'<a href="([^"]+)" aria-label="[^"]*: 0 success, ([1-9]\d*) retried, 0 failed"', page)
        assert sorted(number for _, number in bars) == ["1", "1", "2"]
        found = [shown(get(viewer, href.replace("&amp;", "&"))) for href, _ in bars]
        assert sorted(len(rows) for rows in found) == [1, 1, 2]
        assert sorted(pk for rows in found for pk in rows) == sorted(row.pk for row in made)
        cells = re.findall(r'data-label="Retried" class="number"><a href="([^"]+)">(\d+)</a>', page)
        assert [(len(shown(get(viewer, href.replace("&amp;", "&")))), int(number)) for href, number in cells] == [
            (int(number), int(number)) for _, number in cells
        ]
        assert len(cells) == 3


def test_the_export_has_every_column_and_no_formula(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = sold(
        config, "=cmd|' /C calc'!A0", message="+1 is no number", http_status=400, status="failed", request_id="-7"
    )
    (line,) = exported(viewer, url)
    assert tuple(line) == attempt_export.COLUMNS
    conversion = Conversion.objects.get()
    assert {name: line[name] for name in ("player", "answer", "request_id", "value", "currency", "order_id")} == {
        "player": "'=cmd|' /C calc'!A0",
        "answer": "'+1 is no number",
        "request_id": "'-7",
        "value": "9.99",
        "currency": "USD",
        "order_id": "order-=cmd|' /C calc'!A0",
    }
    assert {name: line[name] for name in ("click_network", "click_parameter", "utm_campaign", "state", "erased")} == {
        "click_network": "tiktok",
        "click_parameter": "ttclid",
        "utm_campaign": "spring",
        "state": "delivered",
        "erased": "",
    }
    assert line["sent_at"] == row.started_at.astimezone(UTC).isoformat()
    assert (line["person_id"], line["conversion_id"]) == (str(conversion.person_id), str(conversion.pk))
    Delivery.objects.update(conversion=None)
    (line,) = exported(viewer, url)
    assert (line["player"], line["value"], line["erased"], line["click_id"]) == ("", "", "yes", "")


def test_the_export_has_all_pages_and_nothing_of_another_studio(
    config: PostbackConfig, other_game: Game, viewer: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_export, "ROWS_PER_QUERY", 7)
    delivery, theirs = factories.delivery(config), factories.config(other_game, pixel_id="C0THEIRPIXEL00000000")
    sold(theirs, "ada")
    made = [factories.attempt(delivery, started_at=NOW).pk for _ in range(40)]  # all at one moment
    assert [int(line["attempt_id"]) for line in exported(viewer, url)] == sorted(made, reverse=True)
    assert exported(viewer, url, "?q=ada") == []
    assert exported(viewer, url, "?q=message-ada") == []
    stranger = hub.member(other_game, Role.ADMIN)
    assert stranger.get(f"{url}log/export/").status_code == 404
    assert Client().get(f"{url}log/export/").status_code == 302


def test_addresses_are_masked_for_viewers_and_not_for_marketers(
    config: PostbackConfig, viewer: Client, marketer: Client, url: str
) -> None:
    sold(config, "ada@players.example")
    assert (exported(viewer, url)[0]["player"], exported(marketer, url)[0]["player"]) == (
        "a…@players.example",
        "ada@players.example",
    )
    assert "ada@players.example" not in get(viewer, url)


def plan(configs: list[Any], filters: attempt_log.LogFilter) -> str:
    """The plans of every query of the log."""
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as asked:
        list(attempt_log.in_pages(configs, filters, size=25, rows=attempt_log.shown_rows()))
    plans = []
    with connection.cursor() as cursor:
        for query in asked.captured_queries:
            cursor.execute(f"EXPLAIN {query['sql']}")
            plans += [line for (line,) in cursor.fetchall()]
    return "\n".join(plans)


@pytest.mark.long
@pytest.mark.parametrize("given", [{}, {"status": "failed"}, {"state": "failed"}, {"deliveries": []}])
def test_no_query_of_a_large_log_reads_a_whole_table(config: PostbackConfig, given: dict[str, Any]) -> None:
    fields = {"game": config.game, "config": config, "network": "tiktok", "trigger": "purchase", "config_version": 1}
    player = factories.person(config.game)
    sold_rows = Conversion.objects.bulk_create(
        Conversion(game=config.game, person=player, trigger="purchase", message_id=f"m{n}", event_day=NOW, event_at=NOW)
        for n in range(4000)
    )
    rows = Delivery.objects.bulk_create(
        Delivery(**fields, conversion=row, event_id=str(row.pk), event_at=NOW, dead_after=NOW, state="delivered")
        for row in sold_rows
    )
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(
            delivery=row,
            config=config,
            number=1,
            config_version=1,
            started_at=NOW - timedelta(seconds=n),
            status="success",
        )
        for n, row in enumerate(rows)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE postbacks_deliveryattempt; ANALYZE postbacks_delivery; ANALYZE audience_conversion")
    given = {"deliveries": [rows[0].pk, rows[7].pk]} if "deliveries" in given else given
    filters = attempt_log.LogFilter(since=NOW - timedelta(minutes=2), until=NOW + timedelta(hours=1), **given)
    found = plan([config.pk], filters)
    assert "postbacks_deliveryattempt" in found
    assert not re.search(
        r"Seq Scan on (?:postbacks_delivery|postbacks_deliveryattempt|audience_conversion)\b", found
    ), found


def test_a_zone_with_45_minutes_names_the_hours_of_the_chart_as_its_clocks_do(
    game: Game, config: PostbackConfig, viewer: Client, url: str
) -> None:
    person: Any = game.memberships.get(role=Role.VIEWER).user
    time_zone.choose(user=person, time_zone="Asia/Kathmandu")
    factories.attempt(factories.delivery(config), started_at=datetime(2026, 11, 20, 13, 30, tzinfo=UTC))
    page = hub.normalized_html(get(viewer, f"{url}?from=2026-11-20&to=2026-11-20"))
    assert "Fri, Nov 20, 2026, 18:45: 1 success, 0 retried, 0 failed" in page
    assert "Hour (UTC+5:45)" in page
    assert ZoneInfo("Asia/Kathmandu").utcoffset(NOW) == timedelta(hours=5, minutes=45)
