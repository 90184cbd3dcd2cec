"""The pages Campaigns and Cohorts, their lists and their export."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from audience.models import ActiveQuarter, ExchangeRate, Game
from audience.wording import dates
from postbacks.reporting.campaigns import refresh, settings
from tests import factories, hub

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/campaigns/"


def at(days_ago: int, hour: int = 12) -> datetime:
    return datetime.now(UTC).replace(hour=hour, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)


def player(game: Game, name: str, *, days_ago: int = 5, network: str = "tiktok", paid: str = "", **tags: str) -> Any:
    """A player who clicked, launched the game the same day, and paid a day later."""
    person = factories.person(game, user=name)
    clicked_at = at(days_ago)
    touch = factories.touch(person, network=network, click_id=f"click-{name}", clicked_at=clicked_at, campaign=tags)
    launched = {"trigger": "game_launch", "properties": {}, "event_at": clicked_at + timedelta(hours=1)}
    factories.conversion(person, touch=touch, **launched)
    if paid:
        amount, currency = paid.split()
        properties = {"value": float(amount), "currency": currency}
        factories.conversion(person, touch=touch, event_at=clicked_at + timedelta(days=1), properties=properties)
    return person


@pytest.fixture
def traffic(game: Game) -> None:
    autumn = {"utm_campaign": "autumn", "utm_term": "broad", "utm_content": "video"}
    player(game, "ada", paid="10 USD", **autumn)
    player(game, "bob", paid="20 EUR", **autumn)
    player(game, "cem", **autumn)
    player(game, "dora", network="reddit", paid="5 USD", utm_campaign="spring")
    player(game, "early", days_ago=40, utm_campaign="autumn")
    ExchangeRate.objects.create(game=game, currency="EUR", rate=Decimal("1.5"))
    refresh.refresh()


def table(client: Client, url: str) -> list[list[str]]:
    """The cells of the table of rows: name, then figures."""
    html = hub.normalized_html(client.get(url).content.decode())
    body = re.search(r'class="card wide-table".*?<tbody>(.*?)</tbody>', html)
    rows = re.findall(r"<tr>(.*?)</tr>", body[1]) if body else []
    return [[" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in re.findall("<td.*?</td>", row)] for row in rows]


def test_the_empty_page_says_what_makes_a_click(url: str, viewer: Client) -> None:
    page = viewer.get(url).content.decode()
    assert "No ad clicks yet" in page
    assert hub.inline_code(page) == []


def test_campaigns_have_clicks_players_launches_payers_and_revenue(url: str, viewer: Client, traffic: None) -> None:
    assert table(viewer, url) == [
        # clicks, players, launches, payers, purchases, revenue with its originals, sent, accepted
        ["All", "4", "4", "4", "3", "3", "45.00 20.00 EUR", "0", "0"],
        ["autumn TikTok Ads", "3", "3", "3", "2", "2", "40.00 20.00 EUR", "0", "0"],
        ["spring Reddit Ads", "1", "1", "1", "1", "1", "5.00", "0", "0"],
    ]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?by=network", ["All", "TikTok Ads", "Reddit Ads"]),
        ("?sort=revenue&dir=asc", ["All", "spring Reddit Ads", "autumn TikTok Ads"]),
        ("?sort=name", ["All", "spring Reddit Ads", "autumn TikTok Ads"]),
        ("?q=SPRING", ["All", "spring Reddit Ads"]),
        ("?network=tiktok", ["All", "autumn TikTok Ads"]),
        ("?network=tiktok&campaign=autumn", ["All", "broad TikTok Ads › autumn"]),
        ("?network=tiktok&campaign=autumn&ad_group=broad", ["All", "video TikTok Ads › autumn › broad"]),
        ("?network=tiktok&by=ad", ["All", "video TikTok Ads › autumn › broad"]),
        ("?network=nobody", []),
    ],
)
def test_rows_are_narrowed_ordered_and_found(
    url: str, viewer: Client, traffic: None, query: str, names: list[str]
) -> None:
    assert [row[0] for row in table(viewer, url + query)] == names


def test_a_period_is_any_dates_and_is_compared_with_the_one_before(url: str, viewer: Client, traffic: None) -> None:
    last, first = at(36).date(), at(42).date()
    assert [row[:3] for row in table(viewer, f"{url}?from={first}&to={last}")][1:] == [["autumn TikTok Ads", "1", "1"]]
    rows = table(viewer, f"{url}?range=30&compare=1")
    assert rows[1][:3] == ["autumn TikTok Ads", "3 +200%", "3 +200%"]
    assert rows[2][:3] == ["spring Reddit Ads", "1 new", "1 new"]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("?from=yesterday", "Enter both dates as year, month and day, such as 2026-11-01."),
        ("?from=2026-11-02&to=2026-11-01", "The first day is after the last day."),
        ("?from=2001-01-01&to=2026-11-01", "A report covers at most 731 days."),
    ],
)
def test_dates_that_make_no_period_are_explained(url: str, viewer: Client, query: str, problem: str) -> None:
    assert problem in viewer.get(url + query).content.decode()


def test_each_number_leads_to_exactly_its_rows(url: str, game: Game, viewer: Client, traffic: None) -> None:
    html = hub.normalized_html(viewer.get(url).content.decode())
    links = re.findall(r'<a href="([^"]*campaigns/(players|conversions)/[^"]*)">([\d.,]+)</a>', html)
    assert len(links) == 3 * 5
    for link, kind, number in links:
        listed = viewer.get(link.replace("&amp;", "&")).content.decode()
        ids = re.findall('id="person-' if kind == "players" else 'id="conversion-', listed)
        # Of revenue, the conversions that are added up.
        assert "." in number or len(ids) == int(number), link


def test_the_export_has_the_rows_of_the_table(url: str, viewer: Client, traffic: None) -> None:
    answer = viewer.get(f"{url}export/?sort=revenue")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["network"], row["campaign"], row["clicks"], row["payers"], row["revenue"]) for row in rows] == [
        ("tiktok", "autumn", "3", "2", "40"),
        ("reddit", "spring", "1", "1", "5"),
    ]
    assert {(row["currency"], row["time_zone"]) for row in rows} == {("USD", "UTC")}


def test_amounts_without_a_rate_are_shown_and_not_added_up(url: str, viewer: Client, traffic: None) -> None:
    ExchangeRate.objects.all().delete()
    assert "no exchange rate: EUR" in viewer.get(url).content.decode()
    assert table(viewer, url)[0][6] == "15.00 20.00 EUR"


def test_cohorts_have_retention_and_revenue_per_player(url: str, game: Game, viewer: Client, traffic: None) -> None:
    ada = game.people.get(identities__value="ada")
    ActiveQuarter.objects.create(game_id=game.pk, person_id=ada.pk, starts_at=at(4, hour=23))
    refresh.refresh()
    rows = table(viewer, f"{url}cohorts/")
    day = dates.weekday(at(5))
    # Of four players one came back on the first day; 45 USD were paid on that day.
    figures = ["4", "25.0% 1", "–", "–", "0.00", "11.25", "–", "–", "–"]
    assert rows == [["All days", *figures], [day, *figures]]
    assert table(viewer, f"{url}cohorts/?network=reddit")[1][1:6] == ["1", "0.0% 0", "–", "–", "0.00"]


def test_another_time_zone_moves_the_days(url: str, game: Game, viewer: Client, traffic: None) -> None:
    settings.set_report_settings(
        game=game,
        time_zone="Pacific/Kiritimati",
        reporting_currency="EUR",
        rates={"USD": Decimal("0.5"), "JPY": Decimal("0.006")},
    )
    refresh.refresh()
    # 12:00 UTC is the next day there.
    day = at(4).date()
    assert table(viewer, f"{url}?from={day}&to={day}")[0][:2] == ["All", "4"]
    assert table(viewer, url)[0][6] == "27.50 15.00 USD"


def test_the_earlier_address_of_the_settings_leads_to_those_of_the_game(url: str, game: Game, viewer: Client) -> None:
    answer = viewer.get(f"{url}settings/")
    assert (answer.status_code, answer["Location"]) == (302, f"/g/{game.slug}/settings/#reports")


def test_a_bar_of_the_chart_leads_to_the_table_of_its_day(url: str, viewer: Client, traffic: None) -> None:
    page = hub.normalized_html(viewer.get(f"{url}?by=network&metric=clicks").content.decode())
    bars = re.findall(r'<a href="([^"]+)" aria-label="[^"]*: ([1-9]\d*) clicks"', page)
    assert sum(int(number) for _, number in bars) == 4
    for href, number in bars:
        assert table(viewer, url + href.replace("&amp;", "&"))[0][:2] == ["All", number]


def test_a_campaign_in_another_zone_keeps_it_in_its_links(url: str, viewer: Client, traffic: None) -> None:
    page = viewer.get(f"{url}?zone=Asia/Kathmandu").content.decode()
    assert "Days are in Asia/Kathmandu" in page
    assert "zone=Asia%2FKathmandu" in page
    assert "is not a time zone" in viewer.get(f"{url}?zone=Mars/Olympus").content.decode()
    hours = viewer.get(f"{url}?from=2026-11-20&from_time=22:00&to=2026-11-21").content.decode()
    assert "Campaign reports cover whole days. Remove the times." in hours


def test_equal_rows_are_in_order_of_their_names(url: str, game: Game, viewer: Client) -> None:
    for name, campaign in (("ada", "beta"), ("bob", "Alpha"), ("cem", "gamma"), ("dora", "gamma")):
        player(game, name, utm_campaign=campaign)
    refresh.refresh()
    names = {
        direction: [row[0].split()[0] for row in table(viewer, f"{url}?dir={direction}")[1:]]
        for direction in ("asc", "desc")
    }
    assert names == {"asc": ["Alpha", "beta", "gamma"], "desc": ["gamma", "Alpha", "beta"]}
    for key in ("name", "players", "launches", "payers", "purchases", "revenue", "sent", "accepted", "spend"):
        assert len(table(viewer, f"{url}?sort={key}")) == 4, key


def test_amounts_have_the_digits_of_the_reporting_currency(url: str, game: Game, viewer: Client) -> None:
    player(game, "ada", paid="1200 JPY", utm_campaign="autumn")
    game.reporting_currency = "JPY"
    game.save()
    refresh.refresh()
    assert table(viewer, url)[0][6] == "1,200"
    assert table(viewer, f"{url}cohorts/")[0][6] == "1,200.00"
    ExchangeRate.objects.create(game=game, currency="JPY", rate=Decimal("0.002"))
    game.reporting_currency = "KWD"
    game.save()
    assert table(viewer, url)[0][6] == "2.400 1,200 JPY"


def test_the_export_has_the_amounts_as_they_were_reported(url: str, game: Game, viewer: Client) -> None:
    player(game, "ada", paid="10.5 EUR", utm_campaign="=HYPERLINK(1)")
    refresh.refresh()
    answer = viewer.get(f"{url}export/")
    (row,) = csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode()))  # type: ignore[attr-defined]
    assert (row["revenue"], row["revenue_EUR"], row["attribution_window_days"]) == ("", "10.5", "28")
    assert row["campaign"] == "'=HYPERLINK(1)"


def test_a_name_of_200_characters_leads_to_its_rows(url: str, game: Game, viewer: Client) -> None:
    player(game, "ada", utm_campaign=f"<b>{'x' * 196} and more")
    refresh.refresh()
    html = viewer.get(url).content.decode()
    assert "<b>x" not in html
    (link,) = re.findall(r'<a href="([^"]*)"><strong>&lt;b&gt;', html)
    assert table(viewer, url + link.removeprefix(url).replace("&amp;", "&"))[0][:2] == ["All", "1"]


def test_the_tabs_keep_the_campaign_and_the_days(url: str, viewer: Client, traffic: None) -> None:
    page = viewer.get(f"{url}?network=tiktok&campaign=autumn&range=90").content.decode()
    assert f'href="{url}cohorts/?network=tiktok&amp;campaign=autumn&amp;range=90"' in page


def test_the_chart_has_the_rows_of_the_table(url: str, viewer: Client, traffic: None) -> None:
    page = hub.normalized_html(viewer.get(f"{url}?q=spring").content.decode())
    assert re.findall(r"Clicks ?<strong>(\d+)</strong>", page) == ["1"]


def test_more_than_25_rows_are_on_several_pages(url: str, game: Game, viewer: Client) -> None:
    person = factories.person(game, user="ada")
    for number in range(28):
        factories.touch(person, click_id=f"c{number}", clicked_at=at(5), campaign={"utm_campaign": f"c {number:03}"})
    refresh.refresh()
    first = viewer.get(f"{url}?sort=name").content.decode()
    assert "Rows 1 to 25 of 28." in first
    assert len(table(viewer, f"{url}?sort=name")) == 26
    rows = table(viewer, f"{url}?sort=name&offset=25")
    assert [row[0].split()[1] for row in rows[1:]] == ["025", "026", "027"]
    assert rows[0][:2] == ["All", "28"]
    assert "Rows 26 to 28 of 28." in viewer.get(f"{url}?sort=name&offset=25").content.decode()
    assert "Rows 1 to 25 of 28." in viewer.get(f"{url}?sort=name&offset=250").content.decode()


def test_cohorts_of_more_than_31_days_are_on_several_pages(url: str, game: Game, viewer: Client) -> None:
    for days in range(33):
        person = factories.person(game, user=f"p{days}")
        factories.touch(person, click_id=f"c{days}", clicked_at=at(days), campaign={"utm_campaign": "autumn"})
    refresh.refresh()
    first = table(viewer, f"{url}cohorts/?range=90")
    assert (len(first), first[0][1]) == (1 + 31, "33")
    last = table(viewer, f"{url}cohorts/?range=90&offset=31")
    assert (len(last), last[0][1]) == (1 + 2, "33")
    assert "Days 32 to 33 of 33." in viewer.get(f"{url}cohorts/?range=90&offset=31").content.decode()
    assert table(viewer, f"{url}cohorts/?range=90&offset=99") == first


@pytest.mark.parametrize(("days", "unit", "columns"), [(62, "Day", 62), (63, "Week", 9)])
def test_the_chart_of_more_than_62_days_is_by_week(
    url: str, viewer: Client, traffic: None, days: int, unit: str, columns: int
) -> None:
    span = f"from={at(days - 1):%Y-%m-%d}&to={at(0):%Y-%m-%d}"
    page = hub.normalized_html(viewer.get(f"{url}?{span}").content.decode())
    assert f"By {unit.lower()}</h2>" in page
    chart = page[page.index('class="chart"') : page.index("</figure>")]
    assert chart.count(f'<td data-label="{unit}"') == columns
    assert re.findall(r"Clicks ?<strong>(\d+)</strong>", chart) == ["5"]


def test_a_page_after_the_last_says_so(url: str, viewer: Client, traffic: None) -> None:
    for page in ("players", "conversions"):
        html = viewer.get(f"{url}{page}/?offset=50").content.decode()
        assert ("No more rows" in html, "First page" in html) == (True, True)


def test_days_of_the_former_time_zone_are_no_longer_counted(
    url: str, game: Game, viewer: Client, traffic: None
) -> None:
    before = table(viewer, url)[0]
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kathmandu"):
        settings.set_report_settings(game=game, time_zone=zone, reporting_currency="USD", rates={"EUR": Decimal("1.5")})
        refresh.refresh()
        assert table(viewer, url)[0] == before, zone
        assert table(viewer, f"{url}cohorts/")[0][1] == "4", zone
