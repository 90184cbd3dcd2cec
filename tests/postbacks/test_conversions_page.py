"""The Conversions page: the funnel and the list agree, search by any id, and the CSV export."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.digest.click_ids import CAMPAIGN
from audience.models import Conversion, Event, Game, GoalEvent, Reason, Role
from postbacks.models import PostbackConfig
from postbacks.outbox import fan_out
from postbacks.reporting import conversion_status, export, funnel, statuses
from postbacks.reporting.campaigns import refresh
from tests import factories, hub

NOW = timezone.now()
WEEK = timedelta(days=7)


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/conversions/"


def listed(page: str) -> list[str]:
    return re.findall(r'id="conversion-([0-9a-f-]{36})"', page)


def counts(page: str) -> dict[str, int]:
    found = re.findall(r'id="count-(\w+)">\s*(?:at least )?([\d,]+)<', page)
    return {key: int(number.replace(",", "")) for key, number in found}


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split()).replace("\xa0", " ")


def event(game: Game, **given: Any) -> Event:
    fields = {
        "game_id": game.pk,
        "day": NOW.date(),
        "message_id": str(uuid4()),
        "kind": "track",
        "name": "purchase",
        "event_at": NOW - timedelta(minutes=1),
        "received_at": NOW,
        "dialect": "immutable",
    }
    return Event.objects.create(**{**fields, **given})


def one_of_every_status(config: PostbackConfig) -> None:
    """As many conversions as there are statuses but that of another click, and one more that is delivered."""
    game = config.game
    ordered = clicked(game, "tiktok", reason="repeat_order", fanned_out_at=NOW)
    factories.delivery(config, conversion=ordered, state="skipped", reason="repeat_order")
    partly = factories.delivery(config, state="delivered")
    second = factories.config(game, pixel_id="C0SECONDPIXEL0000000")
    factories.delivery(second, conversion=partly.conversion, state="held")
    factories.conversion(factories.person(game), test=True, reason="test_traffic", fanned_out_at=NOW)
    factories.conversion(factories.person(game), trigger="game_launch", reason="repeat_launch", fanned_out_at=NOW)
    factories.conversion(factories.person(game), repeats_order=True, reason="repeat_order", fanned_out_at=NOW)
    for reason in (Reason.REFUND, Reason.ERASED, Reason.NO_CLICK, Reason.OUTSIDE_WINDOW, Reason.SHARED_ID):
        factories.conversion(factories.person(game), reason=reason, fanned_out_at=NOW)
    clicked(game, "google", reason="other_network", fanned_out_at=NOW)
    clicked(game, "tiktok")
    for skipped in (
        "config_disabled",
        "config_deleted",
        "filtered",
        "not_from_server",
        "not_mapped",
        "repeat",
        "consent",
        "limited_use",
        "no_match_key",
        "no_value",
        "too_old",
    ):
        row = clicked(game, "tiktok", reason=skipped, fanned_out_at=NOW)
        factories.delivery(config, conversion=row, state="skipped", reason=skipped)
    sent = clicked(game, "tiktok", reason="consent", fanned_out_at=NOW)
    factories.delivery(config, conversion=sent, state="skipped", reason="consent", may_have_arrived=True)
    for state in ("delivered", "delivered", "waiting", "held", "failed", "cancelled"):
        factories.delivery(config, state=state)


def clicked(game: Game, network: str, **given: Any) -> Conversion:
    player = factories.person(game)
    return factories.conversion(player, touch=factories.touch(player, network=network), **given)


def test_every_reason_and_status_is_counted_in_one_step() -> None:
    listed = [*statuses.UNCOUNTED_STATUSES, *statuses.statuses_reaching(statuses.CONVERSIONS)]
    assert len(listed) == 30
    assert set(listed) == {*Reason, *statuses.Status}


@pytest.mark.long
@pytest.mark.parametrize("network", ["", "tiktok", "reddit"])
def test_each_count_of_the_funnel_is_the_length_of_the_list_it_links_to(
    config: PostbackConfig, viewer: Client, url: str, network: str
) -> None:
    one_of_every_status(config)
    counted = counts(viewer.get(f"{url}?network={network}").content.decode())
    del counted["seen"]
    assert counted["conversions"] == Conversion.objects.counted().count() == 25
    for key, number in counted.items():
        page = viewer.get(f"{url}?network={network}&only={key}").content.decode()
        assert (key, len(listed(page))) == (key, number)


def test_a_purchase_that_counts_in_place_of_an_erased_one_of_its_order_is_listed_where_it_is_counted(
    config: PostbackConfig, viewer: Client, url: str
) -> None:
    row = clicked(config.game, "tiktok", reason="repeat_order", fanned_out_at=NOW)
    factories.delivery(config, conversion=row, state="skipped", reason="repeat_order")
    counted = counts(viewer.get(url).content.decode())
    assert counted == {"seen": 1, "conversions": 1, "attributed": 1, "eligible": 1, "order_sent": 1, "delivered": 0}
    for key in ("conversions", "attributed", "eligible", "order_sent", "delivered"):
        assert (key, len(listed(viewer.get(f"{url}?only={key}").content.decode()))) == (key, counted[key])


def test_every_status_has_its_piece_in_the_funnel(config: PostbackConfig, viewer: Client, url: str) -> None:
    one_of_every_status(config)
    page = viewer.get(url).content.decode()
    ones = {str(status): 1 for status in statuses.STATUSES if status not in ("other_click", "delivered")}
    steps = {"seen": 30, "conversions": 25, "attributed": 22, "eligible": 20, "delivered": 2}
    assert counts(page) == {**ones, **steps}
    for status in ones:
        assert f'href="{url}?only={status}"' in page


def test_the_funnel_of_one_network_loses_the_clicks_of_others(config: PostbackConfig, viewer: Client, url: str) -> None:
    clicked(config.game, "reddit", fanned_out_at=NOW, reason="other_network")
    own = factories.delivery(config, state="delivered").conversion
    page = viewer.get(f"{url}?network=tiktok").content.decode()
    assert counts(page) == {
        "seen": 2,
        "conversions": 2,
        "other_click": 1,
        "attributed": 1,
        "eligible": 1,
        "delivered": 1,
    }
    assert own is not None
    assert listed(page) == [str(own.pk)]


@pytest.mark.parametrize("state", ["failed", "held", "waiting"])
def test_a_conversion_that_one_postback_delivered_and_another_did_not_is_delivered_to_some(
    config: PostbackConfig, viewer: Client, url: str, state: str
) -> None:
    second = factories.config(config.game, pixel_id="C0SECONDPIXEL0000000")
    row = factories.delivery(config, state="delivered")
    factories.delivery(second, conversion=row.conversion, state=state)
    page = viewer.get(url).content.decode()
    assert {key: counts(page)[key] for key in ("eligible", "partly_delivered", "delivered")} == {
        "eligible": 1,
        "partly_delivered": 1,
        "delivered": 0,
    }
    labels = {"failed": "Failed", "held": "On hold", "waiting": "Waiting"}
    assert f"Delivered TikTok Ads {config.pixel_id}" in words(page)
    assert f"{labels[state]} TikTok Ads C0SECONDPIXEL0000000" in words(page)


def test_a_state_names_no_pixel_if_the_network_has_one_postback(
    config: PostbackConfig, viewer: Client, url: str
) -> None:
    factories.config(config.game, network="reddit")
    factories.delivery(config, state="delivered")
    page = words(viewer.get(url).content.decode())
    assert "Delivered TikTok Ads" in page
    assert config.pixel_id not in page


def test_a_conversion_that_another_network_sends_has_the_reason_of_the_chosen_one(config: PostbackConfig) -> None:
    row = clicked(config.game, "tiktok", fanned_out_at=NOW)
    factories.delivery(config, conversion=row, state="skipped", reason="filtered")
    factories.delivery(factories.config(config.game, network="custom"), conversion=row, state="delivered")
    asked = conversion_status.ConversionFilter(game=config.game, since=NOW - WEEK, network="tiktok")
    assert conversion_status.with_status(asked).get().status == "filtered"
    assert list(conversion_status.selected(asked, "filtered")) == [row]
    assert conversion_status.selected(asked, "cancelled").count() == 0


def test_what_is_not_counted_has_a_list_of_its_own(config: PostbackConfig, viewer: Client, url: str) -> None:
    one_of_every_status(config)
    page = viewer.get(url).content.decode()
    assert "Not counted in this period: 5" in words(page)
    assert len(listed(viewer.get(f"{url}?only=uncounted").content.decode())) == 5
    assert len(listed(viewer.get(f"{url}?only=all").content.decode())) == 30


@pytest.mark.parametrize(("click", "number"), [("tiktok", 1), ("other", 1), ("none", 1), ("odd", 3)])
def test_the_list_can_be_filtered_by_the_network_of_the_click(
    game: Game, viewer: Client, url: str, click: str, number: int
) -> None:
    clicked(game, "tiktok", fanned_out_at=NOW)
    clicked(game, "other", fanned_out_at=NOW, reason="other_network")
    factories.conversion(factories.person(game), fanned_out_at=NOW)
    assert len(listed(viewer.get(f"{url}?click={click}").content.decode())) == number


def test_the_days_of_a_time_zone_are_a_period(game: Game, viewer: Client, url: str) -> None:
    for hour in (14, 15, 16):
        at = datetime(2026, 11, 20, hour, 30, tzinfo=UTC)
        factories.conversion(factories.person(game), event_at=at, fanned_out_at=at)
    days = "from=2026-11-21&to=2026-11-21&zone=Asia/Tokyo"
    page = viewer.get(f"{url}?{days}").content.decode()
    assert len(listed(page)) == counts(page)["conversions"] == 2
    assert "Nov 21, 2026 (Asia/Tokyo)" in words(page)
    for bad in ("from=2026-11-21", f"{days}x", "from=2026-11-21&to=2026-11-20&zone=UTC", "from=x&to=y&zone=UTC"):
        assert "Conversions 0" in words(viewer.get(f"{url}?range=24h&{bad}").content.decode()), bad


def test_values_are_summed_per_currency(game: Game, viewer: Client, url: str) -> None:
    amounts: tuple[tuple[Any, str], ...] = (
        ("9.99", "USD"),
        ("0,01", "USD"),
        (1500, "JPY"),
        (2, ""),
        (3, ""),
        (5, "GEM"),
        ("1,234", "EUR"),
        ("0", "KWD"),
        ("", "USD"),
    )
    for value, currency in amounts:
        properties = {"value": value, "currency": currency}
        factories.conversion(factories.person(game), properties=properties, fanned_out_at=NOW)
    # Of a row of version 0.2.
    factories.conversion(factories.person(game), value=Decimal(7), currency="", fanned_out_at=NOW)
    steps = {
        step.key: step for step in funnel.count_steps(conversion_status.ConversionFilter(game=game, since=NOW - WEEK))
    }
    assert steps["conversions"].tally.sums == {"": 7, "JPY": 1500, "KWD": 0, "USD": 10}
    assert steps["conversions"].tally.problems == {"no_currency": 2, "unknown_currency": 1, "unreadable": 1}
    shown = words(viewer.get(url).content.decode())
    assert "Conversions 10 " in shown
    assert "7.00 without currency 1,500 JPY 0.000 KWD 10.00 USD" in shown
    assert "2 without value: no currency" in shown
    assert "1 without value: a currency that is not in ISO 4217" in shown
    assert "1 without value: an invalid amount" in shown


def test_events_not_digested_yet_are_counted_as_seen(game: Game, viewer: Client, url: str) -> None:
    GoalEvent.objects.create(game=game, name="level_up")
    factories.conversion(factories.person(game), fanned_out_at=NOW)
    for given in ({}, {}, {"name": "level_up"}, {"name": "tutorial_done"}, {"kind": "page"}):
        event(game, **given)
    event(game, event_at=NOW - timedelta(days=9), day=(NOW - timedelta(days=9)).date())
    assert counts(viewer.get(url).content.decode())["seen"] == 3
    assert counts(viewer.get(f"{url}?event=purchase").content.decode())["seen"] == 2


def test_at_most_the_newest_events_are_counted(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        event(game)
    asked = conversion_status.ConversionFilter(game=game, since=NOW - WEEK)
    assert (funnel.count_events(asked, least=0).tally.count, funnel.count_events(asked, least=0).at_least) == (4, False)
    monkeypatch.setattr(funnel, "SCAN_LIMIT", 3)
    assert (funnel.count_events(asked, least=0).tally.count, funnel.count_events(asked, least=0).at_least) == (3, True)


def test_a_long_period_is_listed_and_the_newest_conversions_of_it_are_counted(
    game: Game, viewer: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        factories.conversion(factories.person(game), event_at=NOW - timedelta(minutes=ago), fanned_out_at=NOW)
        for ago in range(1, 5)
    ]
    monkeypatch.setattr(funnel, "MAX_CONVERSIONS", 3)
    page = viewer.get(url).content.decode()
    assert listed(page) == [str(row.pk) for row in rows]
    assert counts(page)["conversions"] == 3
    assert "Only the newest 3 conversions are counted here" in " ".join(page.split())
    for key in ("step-conversions", "piece-no_click"):
        link = re.search(rf'id="{key}" data-figure="3"\s+href="([^"]+)"', page)
        assert link is not None
        assert listed(viewer.get(link[1].replace("&amp;", "&")).content.decode()) == [str(row.pk) for row in rows[:3]]


def test_the_overview_counts_the_conversions_of_a_network_as_the_list_does(
    game: Game, viewer: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = factories.config(game)
    for ago in range(1, 5):
        player = factories.person(game)
        at = NOW - timedelta(minutes=ago)
        row = factories.conversion(player, touch=factories.touch(player), event_at=at, fanned_out_at=NOW)
        factories.delivery(config, conversion=row, state="delivered", attempts_made=1)
    refresh.refresh()
    monkeypatch.setattr(funnel, "MAX_CONVERSIONS", 3)
    page = viewer.get(f"/g/{game.slug}/").content.decode()
    for key in ("sent", "network_accepted"):
        found = re.search(rf'data-figure="(\d+)" href="([^"]+click=tiktok[^"]+only={key})"', page)
        assert found is not None
        assert found[1] == "4"
        assert len(listed(viewer.get(found[2].replace("&amp;", "&")).content.decode())) == 4
    rows = viewer.get(f"{url}?network=tiktok&only=delivered").content.decode()
    assert len(listed(rows)) == 3
    assert "This list covers only the newest 3 conversions, since" in rows
    every = re.search(r'data-figure="4" href="([^"]+only=conversions)"', page)
    assert every is not None
    assert len(listed(viewer.get(every[1].replace("&amp;", "&")).content.decode())) == 4


def test_values_and_missing_values_lead_to_their_conversions(game: Game, viewer: Client, url: str) -> None:
    made = {
        currency: factories.conversion(
            factories.person(game), fanned_out_at=NOW, properties={"value": 12, "currency": currency}
        )
        for currency in ("USD", "JPY", "")
    }
    page = viewer.get(url).content.decode()
    for wanted, row in (
        ("currency=USD", made["USD"]),
        ("currency=JPY", made["JPY"]),
        ("problem=no_currency", made[""]),
    ):
        link = re.search(rf'href="([^"]+only=conversions[^"]*{wanted})"', page)
        assert link is not None, wanted
        assert listed(viewer.get(link[1].replace("&amp;", "&")).content.decode()) == [str(row.pk)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [1, 2, 3]),
        ("range=24h", [1, 2]),
        ("range=30d", [1, 2, 3, 4]),
        ("range=30d&event=game_launch", [2, 4]),
        ("event=game_launch", [2]),
        ("range=24h&only=no_click", [1]),
        ("range=30d&network=tiktok", [2]),
        ("range=century&event=odd&network=odd&only=odd", [1, 2, 3]),
    ],
)
def test_filters_are_in_the_url(game: Game, viewer: Client, url: str, query: str, expected: list[int]) -> None:
    rows = {
        1: factories.conversion(factories.person(game), fanned_out_at=NOW),
        2: clicked(game, "tiktok", trigger="game_launch", event_at=NOW - timedelta(hours=2)),
        3: factories.conversion(factories.person(game), event_at=NOW - timedelta(days=3)),
        4: factories.conversion(factories.person(game), event_at=NOW - timedelta(days=9), trigger="game_launch"),
        5: factories.conversion(factories.person(game), event_at=NOW - timedelta(days=31)),
    }
    assert listed(viewer.get(f"{url}?{query}").content.decode()) == [str(rows[number].pk) for number in expected]


def test_conversions_can_be_filtered_by_a_goals_event(game: Game, viewer: Client, url: str) -> None:
    GoalEvent.objects.create(game=game, name="level_up")
    row = factories.conversion(factories.person(game), trigger="level_up")
    factories.conversion(factories.person(game))
    page = viewer.get(f"{url}?event=level_up").content.decode()
    assert listed(page) == [str(row.pk)]
    assert '<option value="level_up" selected>level_up</option>' in page


def test_older_pages_keep_the_filters_and_list_every_row_once(game: Game, viewer: Client, url: str) -> None:
    made = {str(factories.conversion(factories.person(game), event_at=NOW).pk) for _ in range(60)}
    page = viewer.get(f"{url}?only=no_click").content.decode()
    older = re.search(r'href="(\?[^"]*before=[^"]+)">Older', page)
    assert older is not None
    assert "only=no_click" in older[1]
    rest = listed(viewer.get(url + older[1].replace("&amp;", "&")).content.decode())
    assert len(listed(page) + rest) == 60
    assert {*listed(page), *rest} == made


def test_a_refresh_returns_only_the_rows(game: Game, viewer: Client, url: str) -> None:
    factories.conversion(factories.person(game))
    page = viewer.get(f"{url}?event=purchase").content.decode()
    assert f'hx-get="{url}?event=purchase" hx-trigger="every 5s"' in page
    assert f'hx-get="{url}pipeline/?event=purchase" hx-trigger="every 60s"' in page
    rows = viewer.get(f"{url}?event=purchase", headers={"HX-Request": "true"}).content.decode()
    assert len(listed(rows)) == 1
    assert "<html" not in rows
    assert counts(rows) == {}
    assert counts(viewer.get(f"{url}pipeline/?event=purchase").content.decode())["conversions"] == 1


def test_the_page_contains_no_inline_code(config: PostbackConfig, viewer: Client, url: str) -> None:
    one_of_every_status(config)
    assert hub.inline_code(viewer.get(url).content.decode()) == []


def searched(client: Client, url: str, query: str) -> str:
    return client.get(url, {"q": query}).content.decode()


def test_a_conversion_is_found_by_each_kind_of_id(config: PostbackConfig, viewer: Client, url: str) -> None:
    player = factories.person(config.game, anonymous="anon-7", user="ada-7", traits={"email": "Ada@Players.example"})
    click = factories.touch(player, click_id="E.C.P." + "x" * 900)
    row = factories.conversion(player, touch=click, message_id="order-7", event_at=NOW - timedelta(days=300))
    factories.delivery(config, conversion=row, event_id="pixel-event-7")
    factories.conversion(factories.person(config.game, user="bob"))
    names = (
        row.pk,
        "order-7",
        click.click_id,
        player.pk,
        "ada-7",
        "anon-7",
        " ada@players.example ",
        "pixel-event-7",
    )
    for name in names:
        assert (name, listed(searched(viewer, url, str(name)))) == (name, [str(row.pk)])


@pytest.mark.parametrize(
    ("fields", "event_id"),
    [
        ({"properties": {"event_id": "pixel-7"}}, "pixel-7"),
        ({"context": {"event_id": "pixel-8"}}, "pixel-8"),
        ({"message_id": "message-7"}, "message-7"),
    ],
)
def test_a_conversion_is_found_by_the_event_id_that_the_network_received(
    config: PostbackConfig, viewer: Client, url: str, fields: dict[str, Any], event_id: str
) -> None:
    player = factories.person(config.game)
    row = factories.conversion(player, touch=factories.touch(player), **fields)
    fan_out.fan_out_due()
    assert row.deliveries.get().event_id == event_id
    assert listed(searched(viewer, url, event_id)) == [str(row.pk)]
    assert event_id in viewer.get(f"{url}{row.pk}/").content.decode()


@pytest.mark.parametrize(
    "fields",
    [
        {"properties": {"event_id": "pixel-9"}},
        {"properties": {"eventId": "pixel-9"}},
        {"context": {"event_id": "pixel-9"}},
    ],
)
def test_a_conversion_without_a_delivery_is_found_by_the_event_id_that_its_sender_set(
    config: PostbackConfig, viewer: Client, url: str, fields: dict[str, Any]
) -> None:
    row = factories.conversion(factories.person(config.game), **fields)
    factories.conversion(factories.person(factories.game()), **fields)
    fan_out.fan_out_due()
    assert row.deliveries.count() == 0
    assert listed(searched(viewer, url, "pixel-9")) == [str(row.pk)]


@pytest.mark.parametrize("query", ["ORDER-7", "order", "%", "a\0b", "x" * 5000, "ada@", "00000000"])
def test_a_search_is_exact(game: Game, viewer: Client, url: str, query: str) -> None:
    factories.conversion(factories.person(game, user="ada"), message_id="order-7")
    page = searched(viewer, url, query)
    assert listed(page) == []
    assert "No results" in page
    assert "message ID, click ID" in words(page)


def test_a_search_stays_in_the_game(game: Game, other_game: Game, viewer: Client, url: str) -> None:
    player = factories.person(other_game, user="ada")
    row = factories.conversion(player, touch=factories.touch(player), message_id="order-7")
    for name in (row.pk, "order-7", "E.C.P.click", player.pk, "ada"):
        page = searched(viewer, url, str(name))
        assert listed(page) == []
        assert "No results" in page


def test_a_search_for_a_click_without_conversions_links_to_its_player(game: Game, viewer: Client, url: str) -> None:
    player = factories.person(game)
    factories.touch(player, click_id="E.C.P.lonely")
    page = searched(viewer, url, "E.C.P.lonely")
    assert "No conversions are attributed to this click" in page
    assert f'href="/g/{game.slug}/people/{player.pk}/"' in page


def test_a_search_for_a_player_without_conversions_names_the_player(game: Game, viewer: Client, url: str) -> None:
    player = factories.person(game, user="ada")
    page = searched(viewer, url, "ada")
    assert "This player has no conversion" in page
    assert f'href="/g/{game.slug}/people/{player.pk}/"' in page


def test_the_conversions_page_of_an_empty_game_names_the_first_step(game: Game, viewer: Client, url: str) -> None:
    page = viewer.get(url).content.decode()
    assert "No conversions yet" in page
    assert counts(page) == {}


def test_an_empty_period_offers_a_longer_one(game: Game, viewer: Client, url: str) -> None:
    factories.conversion(factories.person(game), event_at=NOW - timedelta(days=9))
    page = viewer.get(url).content.decode()
    assert "No conversions in this period" in page
    assert f'href="{url}?range=30d"' in page


def test_other_users_cannot_open_the_conversions_page(game: Game, other_game: Game, url: str) -> None:
    stranger = hub.member(other_game, Role.ADMIN)
    row = factories.conversion(factories.person(game))
    for address in (url, f"{url}pipeline/", f"{url}export/", f"{url}{row.pk}/"):
        assert stranger.get(address).status_code == 404
    assert Client().get(f"{url}export/").status_code == 302


def exported(client: Client, address: str) -> list[dict[str, str]]:
    response = client.get(address)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_export_has_one_row_per_delivery(config: PostbackConfig, viewer: Client, url: str) -> None:
    row = factories.new_conversion(config)
    Conversion.objects.update(value=Decimal("-9.99"), currency="USD", value_problem="unreadable", order_id="T-1")
    click = row.touch
    assert click is not None
    factories.delivery(config, conversion=row, state="delivered", finished_at=NOW, attempts_made=2)
    reddit = factories.config(config.game, network="reddit")
    factories.delivery(reddit, conversion=row, state="skipped", reason="other_network")
    conversion = {
        "conversion_id": str(row.pk),
        "event": "purchase",
        "event_time": row.event_at.isoformat(),
        "message_id": row.message_id,
        "person_id": str(row.person_id),
        "value": "-9.99",
        "currency": "USD",
        "value_problem": "unreadable",
        "order_id": "T-1",
        "repeats_order": "",
        "click_network": "tiktok",
        "may_have_arrived": "",
        "confirmation": "",
        "player": "",
        "click_id": click.click_id,
        "click_parameter": "",
        "clicked_at": click.clicked_at.isoformat(),
        **dict.fromkeys(CAMPAIGN, ""),
    }
    delivered = {"network": "tiktok", "pixel": config.pixel_id, "state": "delivered", "reason": ""}
    skipped = {"network": "reddit", "pixel": reddit.pixel_id, "state": "skipped", "reason": "other_network"}
    assert exported(viewer, f"{url}export/") == [
        {**conversion, **delivered, "delivered_at": NOW.isoformat(), "attempts": "2"},
        {**conversion, **skipped, "delivered_at": "", "attempts": "0"},
    ]


def test_the_export_has_one_row_with_the_reason_for_a_conversion_without_a_delivery(
    game: Game, viewer: Client, url: str
) -> None:
    row = factories.conversion(factories.person(game), reason="no_click")
    (line,) = exported(viewer, f"{url}export/")
    assert (line["conversion_id"], line["reason"], line["attempts"]) == (str(row.pk), "no_click", "0")
    assert [line[name] for name in ("network", "pixel", "state", "delivered_at", "may_have_arrived")] == [""] * 5


def test_the_export_applies_the_filters_of_the_list(config: PostbackConfig, viewer: Client, url: str) -> None:
    one_of_every_status(config)
    for query in ("only=consent", "only=eligible", "network=reddit", "event=game_launch", "q=message-none", ""):
        ids = list(dict.fromkeys(line["conversion_id"] for line in exported(viewer, f"{url}export/?{query}")))
        assert ids == listed(viewer.get(f"{url}?{query}").content.decode())


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_exported_cell_is_a_formula(game: Game, viewer: Client, url: str, start: str) -> None:
    factories.conversion(factories.person(game), message_id=f"{start}HYPERLINK(1)", trigger=f"{start}cmd")
    (line,) = exported(viewer, f"{url}export/")
    assert (line["message_id"], line["event"]) == (f"'{start}HYPERLINK(1)", f"'{start}cmd")


def test_an_address_in_an_id_is_masked_for_a_viewer(game: Game, viewer: Client, marketer: Client, url: str) -> None:
    factories.conversion(factories.person(game), message_id="order of ada@players.example")
    assert exported(viewer, f"{url}export/")[0]["message_id"] == "order of a…@players.example"
    assert exported(marketer, f"{url}export/")[0]["message_id"] == "order of ada@players.example"


def test_the_export_reads_in_pages_and_includes_every_conversion(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ROWS_PER_QUERY", 10)
    player = factories.person(game)
    made = {str(factories.conversion(player, event_at=NOW).pk) for _ in range(25)}
    rows = Conversion.objects.filter(game=game)
    told = [line.split(",")[0] for line in export.lines(rows, addresses=True)][1:]
    assert len(told) == 25
    assert set(told) == made


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        response = client.get(address)
        assert response.status_code == 200
        if response.streaming:
            b"".join(response.streaming_content)  # type: ignore[attr-defined]
    return len(queries)


def test_the_conversions_page_needs_no_more_queries_for_more_rows(
    config: PostbackConfig, viewer: Client, url: str
) -> None:
    addresses = (url, f"{url}?only=eligible", f"{url}?q=ada", f"{url}export/")

    def played(times: int) -> None:
        player = factories.person(config.game)
        if times == 1:
            factories.identity(player, namespace="user", value="ada")
        for _ in range(times):
            factories.attempt(factories.delivery(config, state="failed"))
            factories.conversion(player)

    played(1)
    before = [queries_of(viewer, address) for address in addresses]
    played(8)
    assert [queries_of(viewer, address) for address in addresses] == before


def repeat_launch(of: Any, hours: int) -> Conversion:
    at = datetime(2026, 11, 22, 12, tzinfo=UTC) - timedelta(hours=hours)
    return factories.conversion(of, trigger="game_launch", reason="repeat_launch", event_at=at)


def test_successive_repeat_launches_are_one_row_that_expands_to_all_of_them(game: Game, viewer: Client) -> None:
    player = factories.person(game)
    repeats = [repeat_launch(player, hours) for hours in (0, 5, 60)]
    purchase = factories.conversion(player, event_at=datetime(2026, 11, 20, tzinfo=UTC) - timedelta(hours=1))
    single = repeat_launch(player, 90)
    page = viewer.get(f"/g/{game.slug}/people/{player.pk}/").content.decode()
    assert listed(page) == [str(row.pk) for row in (*repeats, purchase, single)]
    (fold,) = re.findall(r"<details id=.repeats-[^>]*>(.*?)</details>", page, re.DOTALL)
    assert listed(fold) == [str(row.pk) for row in repeats]
    assert words(fold).startswith("3 repeat launches, Nov 20 – Nov 22 Only the first launch of a player counts.")


def test_the_days_of_folded_launches_are_those_of_the_page(game: Game, viewer: Client) -> None:
    Game.objects.update(time_zone="Asia/Tokyo")
    player = factories.person(game)
    for hours in (-4, 0):  # 12:00 and 16:00 UTC on one day: 21:00, and 1:00 of the next day, in Tokyo
        repeat_launch(player, hours)
    page = viewer.get(f"/g/{game.slug}/people/{player.pk}/").content.decode()
    assert "2 repeat launches, Nov 22 – Nov 23 Only" in words(page)


def test_repeat_launches_of_several_players_are_folded_in_lists_but_not_in_that_of_repeat_launches(
    game: Game, viewer: Client, url: str
) -> None:
    now = timezone.now()
    for minutes in (1, 2):
        fields = {"trigger": "game_launch", "reason": "repeat_launch", "event_at": now - timedelta(minutes=minutes)}
        factories.conversion(factories.person(game), **fields)
    page = viewer.get(f"{url}?only=uncounted").content.decode()
    assert "2 repeat launches of 2 players" in words(page)
    assert len(listed(page)) == 2
    page = viewer.get(f"{url}?only=repeat_launch").content.decode()
    assert "repeat launches of" not in page
    assert len(listed(page)) == 2
    exported = b"".join(viewer.get(f"{url}export/?only=uncounted")).decode()  # type: ignore[call-overload]
    assert exported.count("repeat_launch") >= 2
