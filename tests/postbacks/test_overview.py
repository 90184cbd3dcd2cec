"""The overview: its figures and periods, its notices, and a constant number of queries."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.games.keys import NewKey
from audience.hub.toolkit.date_range import PRESETS, DateRange, preset_bounds, read_range
from audience.models import ApiKey, Batch, Event, Game
from audience.storage import rollups
from audience.wording import durations
from postbacks.hub.overview import attention, backlog, delivery_totals, figures, headline, notices
from postbacks.hub.overview.attention import AttentionItem
from postbacks.hub.overview.figures import EventCounts
from postbacks.hub.toolkit.config_rows import config_rows
from postbacks.models import Alert, PostbackConfig
from postbacks.reporting import unsettled
from postbacks.reporting.campaigns import refresh
from postbacks.reporting.conversion_status import ConversionFilter, with_status
from postbacks.reporting.funnel import Tally
from tests import factories, hub

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


def batch(game: Game, at: datetime, *, accepted: int = 0, rejected: int = 0, **given: Any) -> Batch:
    fields = {"dialect": "immutable", "duplicates": 0, "event_ids": [], "state": "done"}
    return Batch.objects.create(game=game, received_at=at, accepted=accepted, rejected=rejected, **{**fields, **given})


def bought(game: Game, at: datetime, value: str, currency: str, *, network: str = "", **given: Any) -> None:
    person = factories.person(game)
    click = factories.touch(person, network=network) if network else None
    factories.conversion(person, touch=click, event_at=at, value=Decimal(value), currency=currency, **given)


def only(found: dict[datetime, EventCounts]) -> dict[datetime, EventCounts]:
    return {start: one for start, one in found.items() if one != EventCounts()}


def period(key: str, now: datetime = NOW, zone: str = "UTC") -> DateRange:
    request: Any = RequestFactory().get("/", {"range": key, "zone": zone})
    return read_range(request, now=now, default=key)


def found(game: Game, key: str, now: datetime = NOW, zone: str = "UTC") -> dict[datetime, EventCounts]:
    return figures.read_events(game, period(key, now, zone).edges)


def test_twenty_four_hours_are_counted_by_the_hour(game: Game, other_game: Game) -> None:
    batch(game, NOW - timedelta(minutes=5), accepted=7, rejected=1)
    batch(game, NOW - timedelta(minutes=29), accepted=3)
    batch(game, NOW - timedelta(minutes=31), accepted=2)
    batch(game, NOW - timedelta(hours=23, minutes=29), accepted=5)
    batch(game, NOW - timedelta(hours=23, minutes=31), accepted=100)
    batch(other_game, NOW, accepted=1_000)
    hour = NOW.replace(minute=0)
    by_hour = found(game, "24h")
    assert only(by_hour) == {
        hour: EventCounts(accepted=10, rejected=1),
        hour - timedelta(hours=1): EventCounts(accepted=2),
        hour - timedelta(hours=23): EventCounts(accepted=5),
    }
    assert list(by_hour) == [hour - timedelta(hours=back) for back in range(23, -1, -1)]


def test_longer_periods_are_counted_by_the_day_in_utc(game: Game) -> None:
    today = NOW.replace(hour=0, minute=0)
    batch(game, today, accepted=1)
    batch(game, today - timedelta(seconds=1), accepted=2)
    batch(game, today - timedelta(days=6), accepted=3)
    batch(game, today - timedelta(days=6, seconds=1), accepted=4)
    week = {today: 1, today - timedelta(days=1): 2, today - timedelta(days=6): 3}
    assert {day: one.accepted for day, one in only(found(game, "7d")).items()} == week
    month = found(game, "30d")
    assert {day: one.accepted for day, one in only(month).items()} == {**week, today - timedelta(days=7): 4}
    assert len(month) == 30


def test_conversions_are_counted_by_network_and_values_summed_by_currency(game: Game) -> None:
    bought(game, NOW, "9.99", "USD", network="tiktok")
    bought(game, NOW, "5.01", "USD", network="tiktok")
    bought(game, NOW, "7.00", "EUR", network="tiktok")
    bought(game, NOW - timedelta(hours=2), "3.00", "USD")
    bought(game, NOW, "100.00", "USD", network="tiktok", test=True)
    factories.conversion(factories.person(game), event_at=NOW, reason="repeat_launch", trigger="game_launch")
    assert figures.read_conversions(game, since=period("24h").since, until=period("24h").until) == {
        "tiktok": Tally(3, {"EUR": Decimal("7.000000"), "USD": Decimal("15.000000")}),
        "": Tally(1, {"USD": Decimal("3.000000")}),
    }


def test_a_batch_received_just_before_the_hour_is_counted_just_after_it(game: Game) -> None:
    hour = NOW.replace(minute=0)
    found(game, "24h", hour - timedelta(minutes=2))
    batch(game, hour - timedelta(minutes=1), accepted=9)
    assert found(game, "24h", hour + timedelta(seconds=5))[hour - timedelta(hours=1)].accepted == 9


def test_the_periods_are_links_and_an_unknown_period_means_24_hours(game: Game, viewer: Client) -> None:
    page = viewer.get(f"/g/{game.slug}/?range=7d").content.decode()
    options = re.findall(r'<a [^>]*href="(\?[^"]*)"([^>]*)>(\d+ \w+|Last night)</a>', page)
    assert [(href, text) for href, _, text in options] == [
        ("?", "24 hours"),
        ("?range=night", "Last night"),
        ("?range=7d", "7 days"),
        ("?range=30d", "30 days"),
        ("?range=90d", "90 days"),
    ]
    assert [text for _, rest, text in options if 'aria-current="true"' in rest] == ["7 days"]
    assert "Events per hour in the last 24 hours: 0 accepted, 0 rejected." in (
        viewer.get(f"/g/{game.slug}/?range=century").content.decode()
    )


def test_the_overview_shows_its_figures_as_text_and_table(game: Game, viewer: Client) -> None:
    now = timezone.now()
    batch(game, now, accepted=1_200, rejected=34)
    bought(game, now, "1234.50", "USD", network="reddit")
    page = hub.normalized_html(viewer.get(f"/g/{game.slug}/").content.decode())
    assert "Events per hour in the last 24 hours: 1,200 accepted, 34 rejected." in page
    assert re.search(
        r'"Accepted" class="number"><a [^>]*>1,200</a></td><td data-label="Rejected" class="number"><a [^>]*>34<', page
    )
    reddit = f"/g/{game.slug}/conversions/?range=24h&amp;click=reddit"
    assert '<td data-label="Network">Reddit Ads</td><td data-label="Conversions" class="number"><a ' in page
    assert f'data-figure="1" href="{reddit}">1</a></td>' in page
    assert "1,234.50 USD" in page
    assert hub.inline_code(page) == []


def test_success_rate_and_latency_are_shown_per_network(game: Game, config: PostbackConfig) -> None:
    factories.config(game, network="reddit")
    now = timezone.now()
    for number in range(20):
        one = factories.delivery(config, state="delivered", finished_at=now)
        factories.attempt(one, latency_ms=(number + 1) * 10)
    factories.delivery(config, state="failed", finished_at=now)
    factories.delivery(config, next_attempt_at=now - timedelta(minutes=3))
    player = factories.person(game)
    early = factories.conversion(player, touch=factories.touch(player), event_at=now - timedelta(days=2))
    factories.attempt(
        factories.delivery(config, conversion=early, state="delivered"), ago=timedelta(days=2), latency_ms=9_000
    )
    refresh.refresh()
    since = now - timedelta(days=1)
    tiktok, reddit, *_ = delivery_totals.by_network(game, config_rows(game), since=since, until=now)
    assert (tiktok.accepted, tiktok.failed, tiktok.waiting, tiktok.held) == (20, 1, 1, 0)
    # 20 of 21, rounded down; the 19th of 20 latencies is 190, in the bucket from 176 to 200.
    assert (tiktok.rate, tiktok.p95) == ("95.2%", 200)
    assert tiktok.due_since == now - timedelta(minutes=3)
    assert (reddit.rate, reddit.p95, reddit.due_since, reddit.accepted) == ("", None, None, 0)


def test_revenue_is_in_the_reporting_currency_beside_the_originals_and_the_period_before(game: Game) -> None:
    game.exchange_rates.create(currency="EUR", rate=Decimal("1.5"))
    bought(game, NOW - timedelta(minutes=5), "10.00", "USD", network="tiktok")
    bought(game, NOW - timedelta(hours=2), "4.00", "EUR", network="reddit")
    bought(game, NOW - timedelta(hours=2), "7.00", "JPY", network="reddit")
    bought(game, NOW - timedelta(hours=2), "99.00", "USD")
    bought(game, NOW - timedelta(hours=2), "99.00", "USD", network="tiktok", test=True)
    bought(game, NOW - timedelta(hours=25), "8.00", "USD", network="tiktok")
    # Later on the day before than it is now on this one.
    bought(game, NOW - timedelta(hours=23, minutes=40), "5.00", "USD", network="tiktok")
    refresh.refresh()
    since, until = preset_bounds("24h", UTC, now=NOW)
    found = headline.read(game, since=since, until=until, now=NOW)
    assert (found.currency, found.revenue.amount, found.revenue.missing) == ("USD", Decimal("16.0000"), ("JPY",))
    assert found.originals == [("EUR", Decimal("4.00")), ("JPY", Decimal("7.00")), ("USD", Decimal("10.00"))]
    assert (found.revenue_before.amount, found.revenue_change) == (Decimal("8.00"), "+100%")


def test_conversions_sent_and_accepted_are_counted_once_however_many_postbacks_send_them(
    game: Game, config: PostbackConfig, viewer: Client
) -> None:
    now = timezone.now()
    both = factories.delivery(config, state="delivered", attempts_made=1)
    factories.delivery(factories.config(game, pixel_id="D" * 20), conversion=both.conversion, attempts_made=3)
    factories.delivery(config, state="failed", attempts_made=1, finished_at=now)
    factories.delivery(config)
    refresh.refresh()
    found = headline.read(game, since=now - timedelta(days=1), until=now + timedelta(hours=1), now=now)
    assert (found.now.sent, found.now.accepted, found.sent_change) == (2, 1, "")
    page = hub.normalized_html(viewer.get(f"/g/{game.slug}/").content.decode())
    conversions = f"/g/{game.slug}/conversions/?range=24h"
    assert f'data-figure="2" href="{conversions}&amp;only=sent"' in page
    assert f'data-figure="1" href="{conversions}&amp;only=network_accepted"' in page
    assert f'data-figure="1" href="{conversions}&amp;click=tiktok&amp;only=network_accepted"' in page
    assert f'data-figure="1" href="{conversions}&amp;click=tiktok&amp;only=partly_delivered"' in page


def test_the_list_behind_the_revenue_adds_up_to_it(game: Game, viewer: Client) -> None:
    for value in ("10.00", "2.50"):
        bought(game, timezone.now(), value, "USD", network="tiktok")
    bought(game, timezone.now(), "99.00", "USD")
    refresh.refresh()
    page = hub.normalized_html(viewer.get(f"/g/{game.slug}/").content.decode())
    assert "12.50 USD</a>" in page
    listed = viewer.get(f"/g/{game.slug}/conversions/?range=24h&only=revenue").content.decode()
    assert sorted(re.findall(r"(\d+\.\d\d) USD\n", listed)) == ["10.00", "2.50"]


@pytest.mark.parametrize(
    ("value", "before", "change"),
    [
        (0, 0, ""),
        (5, 0, ""),
        (0, 4, "−100%"),
        (3, 2, "+50%"),
        (Decimal(1), Decimal(3), "−67%"),
        (2, 2, "+0%"),
    ],
)
def test_a_change_is_in_per_cent_of_the_period_before(value: Any, before: Any, change: str) -> None:
    assert headline.change(value, before) == change


def test_what_is_not_accepted_is_counted_as_by_reading_every_conversion(game: Game, config: PostbackConfig) -> None:
    other = factories.config(game, pixel_id="D" * 20)
    now = timezone.now()
    states: list[dict[str, Any]] = [
        {"state": "failed", "finished_at": now},
        {"state": "failed", "finished_at": now, "confirmation": "unmatched"},
        {"state": "held", "next_attempt_at": None},
        {"state": "skipped", "reason": "consent", "may_have_arrived": True},
        {"state": "delivered"},
        {},
    ]
    for state in states:
        row = factories.delivery(config, **state)
        factories.delivery(other, conversion=factories.delivery(config, **state).conversion, state="delivered")
        row.conversion.save()
    filters = ConversionFilter(game=game, since=now - timedelta(days=1), until=now + timedelta(hours=1))
    expected: dict[str, int] = {}
    for conversion in with_status(filters):
        expected[conversion.status] = expected.get(conversion.status, 0) + 1  # type: ignore[attr-defined]
    found = unsettled.count(filters, [config.pk, other.pk])
    for status in ("failed", "held", "waiting", "partly_delivered", "may_have_arrived"):
        assert (status, found["tiktok", status]) == (status, expected.get(status, 0))
    assert (found["tiktok", "unmatched"], expected["partly_delivered"] >= 3) == (1, True)


def test_revenue_and_notices_come_first_and_events_last(game: Game, config: PostbackConfig, viewer: Client) -> None:
    PostbackConfig.objects.update(held_at=timezone.now(), held_for="token", held_message="Access token is expired.")
    batch(game, timezone.now(), accepted=1)
    page = viewer.get(f"/g/{game.slug}/").content.decode()
    order = [
        "Revenue attributed</h2>",
        "Conversions sent</h2>",
        "Needs attention</h2>",
        'id="notice-1"',
        'id="networks"',
    ]
    order += ['id="intake"', "Processing delay"]
    assert [text for _, text in sorted((page.index(text), text) for text in order)] == order


def test_the_guide_is_first_only_while_the_game_has_no_events(game: Game, viewer: Client) -> None:
    page = viewer.get(f"/g/{game.slug}/").content.decode()
    assert page.index('id="guide-title"') < page.index("Revenue attributed</h2>")
    fields = {"game_id": game.pk, "day": NOW.date(), "message_id": "m", "kind": "track", "name": "purchase"}
    Event.objects.create(**fields, event_at=NOW, received_at=NOW, dialect="immutable")
    page = viewer.get(f"/g/{game.slug}/").content.decode()
    assert page.index("Revenue attributed</h2>") < page.index('id="guide-title"')


def test_the_success_rate_is_100_percent_only_without_failures() -> None:
    network = factories.unsaved_configs()[0].kind
    assert delivery_totals.NetworkTotals(network, [], accepted=9_999, failed=1).rate == "99.9%"
    assert delivery_totals.NetworkTotals(network, [], accepted=10_000).rate == "100%"
    assert delivery_totals.NetworkTotals(network, [], accepted=10, partly_delivered=1).rate == "90%"


def items(game: Game) -> list[AttentionItem]:
    configs = config_rows(game)
    return notices.notices_of(game, configs, backlog.read_backlog(game, attention.sendable(configs)))


def test_a_healthy_game_has_no_notices(game: Game, config: PostbackConfig, viewer: Client) -> None:
    factories.attempt(factories.delivery(config, state="delivered"))
    assert items(game) == []
    assert "Nothing needs attention" in viewer.get(f"/g/{game.slug}/").content.decode()


def test_a_postback_on_hold_is_the_first_notice_with_its_next_step(
    game: Game, config: PostbackConfig, viewer: Client
) -> None:
    batch(game, timezone.now() - timedelta(minutes=5), accepted=1, state="pending")
    PostbackConfig.objects.update(held_at=timezone.now(), held_for="token", held_message="Access token is expired.")
    hold, lag = items(game)
    assert (hold.tone, hold.title, hold.subject) == ("bad", "On hold", f"TikTok Ads {config.pixel_id}")
    assert "Access token is expired." in hold.cause
    assert "Rotate credentials" in hold.next_step
    assert (lag.tone, lag.title) == ("warn", "Processing delayed")
    page = viewer.get(f"/g/{game.slug}/").content.decode()
    assert page.index("On hold: ") < page.index("Processing delayed: ") < page.index("Events accepted")


def test_a_disabled_postback_has_no_notice(game: Game, config: PostbackConfig) -> None:
    PostbackConfig.objects.update(held_at=timezone.now(), held_for="token", enabled=False)
    assert items(game) == []


def test_a_lag_under_a_minute_has_no_notice(game: Game, other_game: Game) -> None:
    batch(game, timezone.now() - timedelta(seconds=50), accepted=1, state="pending")
    batch(other_game, timezone.now() - timedelta(hours=1), accepted=1, state="pending")
    assert items(game) == []


def test_the_overview_says_that_processing_keeps_up(game: Game, config: PostbackConfig, viewer: Client) -> None:
    factories.attempt(factories.delivery(config, next_attempt_at=timezone.now() + timedelta(hours=1)))
    batch(game, timezone.now() - timedelta(seconds=4), accepted=1, state="pending")
    page = hub.normalized_html(viewer.get(f"/g/{game.slug}/").content.decode())
    assert re.search(r"<dt>Processing delay</dt><dd>[4-9] s</dd>", page)
    assert "On time</span>: events are processed, and conversions sent, as they arrive." in page


def test_the_overview_is_not_green_while_conversions_wait_in_an_outage(
    game: Game, config: PostbackConfig, viewer: Client
) -> None:
    now = timezone.now()
    rows = [factories.delivery(config, next_attempt_at=now + timedelta(minutes=1)) for _ in range(20)]
    factories.attempt(rows[0], ago=timedelta(seconds=5), status="retried", verdict="transient", message="Gateway down")
    page = hub.normalized_html(viewer.get(f"/g/{game.slug}/").content.decode())
    assert "Retrying: <a" in page.replace("<a", " <a").replace("  ", " ")
    assert "20 conversions wait: TikTok Ads failed or did not answer. TikTok Ads responded: “Gateway down”." in page
    for green in ("On time", "Nothing needs attention", '<span class="status good">Healthy'):
        assert green not in page


def test_a_late_digest_has_a_notice_with_its_duration_and_next_step(game: Game, viewer: Client) -> None:
    batch(game, timezone.now() - timedelta(hours=2, minutes=5, seconds=3), accepted=1, state="pending")
    (item,) = items(game)
    assert (item.title, item.tone) == ("Processing delayed", "warn")
    assert item.cause == "Events are stored, but the oldest event has waited 2 h 5 min to be processed."
    assert "Check that a worker and the beat are running" in item.next_step
    page = hub.normalized_html(viewer.get(f"/g/{game.slug}/").content.decode())
    assert "Behind</span>. The oldest event has waited for 2 h 5 min. See what to do above." in page
    assert "On time" not in page


def test_late_sending_has_a_notice_with_the_postback(game: Game, config: PostbackConfig, viewer: Client) -> None:
    other = factories.config(game, network="reddit")
    since = timezone.now() - timedelta(minutes=3, seconds=1)
    factories.delivery(config, next_attempt_at=since)
    factories.delivery(other, next_attempt_at=timezone.now() - timedelta(minutes=2))
    (item,) = items(game)
    assert (item.title, item.subject, item.since) == ("Sending delayed", f"TikTok Ads {config.pixel_id}", since)
    assert item.cause == "The oldest delivery that could be sent is 3 min overdue."
    assert "The oldest delivery is 3 min overdue." in viewer.get(f"/g/{game.slug}/").content.decode()


def test_a_postback_on_hold_is_not_reported_as_late(game: Game, config: PostbackConfig) -> None:
    factories.delivery(config, next_attempt_at=timezone.now() - timedelta(minutes=3))
    PostbackConfig.objects.update(suspected_at=timezone.now())
    assert [item.title for item in items(game)] == ["Credential problem"]
    PostbackConfig.objects.update(suspected_at=None, enabled=False)
    assert items(game) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h"), (3660, "1 h 1 min"), (172_800, "2 d"), (-5, "0 s")],
)
def test_a_short_duration_has_at_most_two_units(seconds: float, words: str) -> None:
    assert durations.short_duration(timedelta(seconds=seconds)) == words


def test_the_oldest_of_many_waiting_batches_is_found_among_those_due_first(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MAX_BATCHES_READ", 2)
    for minutes in (1, 9, 5):
        at = timezone.now() - timedelta(minutes=minutes)
        batch(game, at, accepted=1, state="pending", next_attempt_at=at)
    assert backlog.read_backlog(game, []).lag == "9 min"


def test_the_notice_of_batches_set_aside_quotes_the_error_without_addresses(game: Game) -> None:
    batch(game, NOW, accepted=2, state="failed", error="ValueError: no such person ada@example.com")
    batch(
        game, NOW + timedelta(hours=1), accepted=1, state="failed", error="ValueError: no such person ada@example.com"
    )
    (item,) = items(game)
    assert (item.tone, item.title, item.since) == ("bad", "Events set aside", NOW + timedelta(hours=1))
    assert "2 requests were stored, but could not be processed." in item.cause
    assert "ada@example.com" not in item.cause
    assert "a…@example.com" in item.cause


def test_an_open_alert_of_a_healthy_postback_has_a_notice(game: Game, config: PostbackConfig) -> None:
    factories.attempt(factories.delivery(config, state="delivered"))
    Alert.objects.create(game=game, config=config, health="degraded", cause="12% of 100 sends failed.")
    (item,) = items(game)
    assert (item.title, item.cause) == ("Alert open", "12% of 100 sends failed.")


def test_an_alert_of_an_unhealthy_postback_has_no_second_notice(game: Game, config: PostbackConfig) -> None:
    PostbackConfig.objects.update(held_at=timezone.now(), held_for="token")
    Alert.objects.create(game=game, config=config, health="on_hold", cause="Refused.")
    assert [item.title for item in items(game)] == ["On hold"]


def test_the_notice_of_an_ending_key_says_whether_it_is_still_used(game: Game) -> None:
    now = timezone.now()
    new = ApiKey.objects.create(game=game, name="new", digest="1", prefix="pk_new", created_at=now - timedelta(hours=5))
    ends = {"game": game, "replaced_by": new, "expires_at": now + timedelta(hours=6, minutes=1)}
    used = now - timedelta(minutes=2)
    ApiKey.objects.create(name="Unity client", digest="2", prefix="pk_old", last_used_at=used, **ends)
    ApiKey.objects.create(name="Website", digest="3", prefix="pk_web", last_used_at=now - timedelta(hours=6), **ends)
    gone = {**ends, "expires_at": now - timedelta(minutes=1)}
    ApiKey.objects.create(name="Ended", digest="4", prefix="pk_end", last_used_at=used, **gone)
    told = {item.subject: (item.cause, item.since) for item in items(game)}
    assert told == {
        "Unity client": ("The old key pk_old… ends in 6\xa0hours and is still used.", used),
        "Website": ("The old key pk_web… ends in 6\xa0hours and was not used after the new key was created.", None),
    }


@pytest.mark.parametrize("period", PRESETS)
def test_the_overview_needs_no_more_queries_for_more_rows(
    game: Game, config: PostbackConfig, viewer: Client, period: str
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert viewer.get(f"/g/{game.slug}/?range={period}").status_code == 200
        return len(asked)

    def play() -> None:
        for network in ("tiktok", "reddit", "google"):
            bought(game, timezone.now() - timedelta(hours=1), "1.00", "USD", network=network)
        factories.attempt(factories.delivery(config, state="delivered"))
        batch(game, timezone.now() - timedelta(days=2), accepted=1)

    play()
    factories.config(game, network="reddit")
    before = queries()
    for number in range(4):
        play()
        factories.config(game, network="reddit", pixel_id=f"a2_more{number}")
    assert queries() == before
    assert before <= 32


def test_a_refresh_returns_only_the_figures(game: Game, viewer: Client) -> None:
    part = viewer.get(f"/g/{game.slug}/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "Events accepted" in part


def test_a_bar_of_the_chart_leads_to_the_messages_of_its_hour(game: Game, key: NewKey, viewer: Client) -> None:
    now = timezone.now()
    for hours in (2, 2, 7):
        event_at = now - timedelta(hours=hours)
        number = Event.objects.count()
        fields = {"game_id": game.pk, "day": event_at.date(), "kind": "track", "dialect": "immutable"}
        Event.objects.create(message_id=str(number), event_at=event_at, received_at=event_at, **fields)
        batch(game, event_at, accepted=1)
    page = hub.normalized_html(viewer.get(f"/g/{game.slug}/").content.decode())
    bars = re.findall(r'<a href="([^"]+)" aria-label="[^"]*: ([1-9]\d*) accepted, 0 rejected"', page)
    assert [number for _, number in bars] == ["1", "2"]
    for href, number in bars:
        listed = viewer.get(href.replace("&amp;", "&")).content.decode()
        assert len(re.findall(r'id="event-\d+"', listed)) == int(number)
    cells = re.findall(r'data-label="Accepted" class="number"><a href="([^"]+)">(\d+)</a>', page)
    assert [number for _, number in cells] == ["1", "2"]
    assert all("status=accepted" in href for href, _ in cells)


def test_the_days_of_a_zone_with_45_minutes_are_counted_after_the_minutes_are_summed(game: Game) -> None:
    midnight = datetime(2026, 11, 20, 18, 15, tzinfo=UTC)  # in Kathmandu
    batch(game, midnight - timedelta(minutes=1), accepted=1)
    batch(game, midnight, accepted=10)
    rollups.roll_up(now=NOW)
    by_day = found(game, "7d", zone="Asia/Kathmandu")
    assert {start: one.accepted for start, one in only(by_day).items()} == {
        midnight - timedelta(days=1): 1,
        midnight: 10,
    }


def test_dates_of_the_url_are_shown_and_wrong_ones_explained(game: Game, viewer: Client) -> None:
    at = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    batch(game, at, accepted=7)
    night = "from=2026-11-20&from_time=22:00&to=2026-11-21&to_time=06:00&zone=Asia/Tokyo"
    page = viewer.get(f"/g/{game.slug}/?{night}").content.decode()
    assert "Events per hour from Nov 20, 13:00 – 21:00 UTC: 7 accepted, 0 rejected." in page
    wrong = viewer.get(f"/g/{game.slug}/?from=2026-11-21&to=2026-11-20").content.decode()
    assert "The first day is after the last day. Shown instead: the last 24 hours." in wrong
