"""Files of costs as ad networks and spreadsheets write them."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client

from audience.models import ExchangeRate, Game
from postbacks.models import AdCost, CostUpload
from postbacks.reporting.campaigns import costs, refresh
from tests import hub
from tests.postbacks.test_campaigns_page import at, player, table
from tests.postbacks.test_costs import HEADER, stored, upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/campaigns/costs/"


def lines(*rows: str, header: str = HEADER) -> str:
    return header + "".join(f"{row}\n" for row in rows)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["1.234,56", "2.000", "12,5", "0,123"], ["1234.56", "2000", "12.5", "0.123"]),
        (["1,234.56", "2,000", "1 234.50"], ["1234.56", "2000", "1234.5"]),
        (["$120.50", "1.234", "USD 7"], ["120.5", "1.234", "7"]),
    ],
)
def test_amounts_are_read_as_the_file_writes_them(
    url: str, marketer: Client, written: list[str], read: list[str]
) -> None:
    rows = [f"2026-11-{day:02};tiktok;autumn;{spend};USD;;" for day, spend in enumerate(written, 1)]
    upload(marketer, url, lines(*rows, header=HEADER.replace(",", ";")))
    assert [row[3] for row in stored()] == [Decimal(amount) for amount in read]


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (
            '2026-11-01,tiktok,a,"1,234",USD',
            "1,234 can mean two amounts. Write it without a thousands separator.",
        ),
        ("2026-11-01,tiktok,a,€5,USD", "€5 is not in USD."),
        ("01/11/2026,tiktok,a,5,USD", "01/11/2026 can mean two dates. Write it as 2026-11-01."),
        ("46327,tiktok,a,5,USD", "46327 is a spreadsheet’s number for a date. Format the column as a date."),
        (f"2026-11-01,tiktok,{'a' * 201},5,USD", "The campaign’s name is too long."),
        (f"{'x' * 5000},tiktok,a,5,USD", f"{'x' * 60}… is not a date such as 2026-11-01."),
    ],
)
def test_a_cell_with_two_meanings_is_refused(url: str, marketer: Client, cell: str, problem: str) -> None:
    page = hub.normalized_html(upload(marketer, url, lines(f"{cell},,")).content.decode())
    assert f"Line 2: {problem}" in page
    assert "Nothing was saved: 1 of 1 line has errors." in page
    assert stored() == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["25/12/2025", "01/11/2026"], [date(2025, 12, 25), date(2026, 11, 1)]),
        (["12/25/2025", "11/01/2026 00:00"], [date(2025, 12, 25), date(2026, 11, 1)]),
        (["1 Nov 2025", "2-Nov-25", "20251103"], [date(2025, 11, day) for day in (1, 2, 3)]),
        (["Nov 1, 2025", "2025-11-02T00:00:00Z", "03.11.2025"], [date(2025, 11, day) for day in (1, 2, 3)]),
    ],
)
def test_days_are_read_as_the_file_writes_them(
    url: str, marketer: Client, written: list[str], read: list[date]
) -> None:
    upload(marketer, url, lines(*(f'"{day}",tiktok,autumn,1,USD,,' for day in written)))
    assert [row[0] for row in stored()] == read


def test_files_of_excel_and_google_ads_are_read(url: str, marketer: Client) -> None:
    rows = "Day\tNetwork\tCampaign\tCost\tCurrency code\tImpr.\n2026-11-01\tGoogle Ads\tautumn\t5\tUSD\t1,204\n"
    assert "1 line of costs.csv was saved." in upload(marketer, url, rows.encode("utf-16")).content.decode()
    rows = "sep=;\r\nDate;Source;Campaign_Name;Amount spent;Currency\r\n2026-11-02;Facebook;autumn;6;USD\r\n"
    assert "1 line of costs.csv was saved." in upload(marketer, url, b"\xef\xbb\xbf" + rows.encode()).content.decode()
    assert stored() == [
        (date(2026, 11, 1), "google", "autumn", Decimal(5), "USD", None, 1204),
        (date(2026, 11, 2), "meta", "autumn", Decimal(6), "USD", None, None),
    ]


def test_costs_of_networks_without_postbacks_are_stored(url: str, marketer: Client) -> None:
    upload(marketer, url, lines("2026-11-01,Amazon,autumn,1,USD,,", "2026-11-02,other,autumn,2,USD,,"))
    assert [row[1] for row in stored()] == ["amazon", "other"]


def test_a_line_with_totals_is_left_out_and_mentioned(url: str, marketer: Client) -> None:
    page = upload(marketer, url, lines("2026-11-01,tiktok,Total War,5,USD,,", "Total of 1 result,,,5,USD,,"))
    assert "1 line of costs.csv was saved. 1 line with totals was left out." in page.content.decode()
    assert [row[2] for row in stored()] == ["Total War"]


def test_the_network_and_currency_of_all_lines_count_where_the_column_is_blank(url: str, marketer: Client) -> None:
    text = "Tag,network,campaign,spend,currency\n2026-11-01,reddit,a,1,\n2026-11-02,,a,2,EUR\n"
    form = {
        "text": text,
        "name": "x" * 200,
        "date": "0",
        "network": "1",
        "campaign": "2",
        "spend": "3",
        "currency": "4",
    }
    marketer.post(f"{url}columns/", {**form, "all_network": "tiktok", "all_currency": "USD"})
    assert [(row[1], row[4]) for row in stored()] == [("reddit", "USD"), ("tiktok", "EUR")]


def test_uploading_again_replaces_in_any_case_and_with_another_id(url: str, marketer: Client) -> None:
    with_ids = "date,network,campaign,campaign id,spend,currency\n"
    rows = ["2026-11-01,tiktok,Autumn,1,1,USD", "2026-11-01,tiktok,Autumn,2,2,USD"]
    assert "2 lines of" in upload(marketer, url, lines(*rows, header=with_ids)).content.decode()
    page = upload(marketer, url, lines("2026-11-01,tiktok,AUTUMN ,9,USD,,")).content.decode()
    assert "1 line of costs.csv was saved. It replaced 2 earlier ones." in page
    assert [row[2:4] for row in stored()] == [("AUTUMN", Decimal(9))]
    page = upload(marketer, url, lines("2026-11-01,tiktok,autumn,1,USD,,", "2026-11-01,tiktok,AUTUMN,2,USD,,"))
    assert "Line 3: A second line for AUTUMN on 2026-11-01." in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_two_uploads_at_once_are_stored_one_after_the_other(game: Game) -> None:
    def store(number: int) -> None:
        rows = [
            AdCost(game=game, day=date(2026, 11, 1), network="tiktok", campaign=f"c{row}", spend=number, currency="USD")
            for row in range(300)
        ]
        costs.store(game=game, rows=rows, name=f"{number}.csv", uploaded_by="")
        connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(store, range(4)))
    assert sorted(CostUpload.objects.values_list("replaced", flat=True)) == [0, 300, 300, 300]
    assert (AdCost.objects.count(), AdCost.objects.values("spend").distinct().count()) == (300, 1)


def test_a_cost_is_matched_by_name_in_any_case_or_by_id(url: str, game: Game, marketer: Client) -> None:
    player(game, "ada", utm_campaign="Autumn Sale")
    player(game, "bob", utm_campaign="spring", campaign_id="17890")
    player(game, "cem", network="reddit", campaign_id="t3_5")
    player(game, "dora", utm_campaign="winter")
    refresh.refresh()
    day = at(5).date()
    header = "date,network,campaign,campaign id,spend,currency\n"
    rows = ["tiktok, autumn SALE ,", "tiktok,Renamed since,17890", "reddit,Summer,t3_5", "tiktok,nobody clicks,"]
    upload(marketer, url, lines(*(f"{day},{row},{number},USD" for number, row in enumerate(rows, 1)), header=header))
    spend = {row[0]: row[7].split()[0] for row in table(marketer, url.removesuffix("costs/"))}
    assert spend == {
        "All": "10.00",
        "Autumn Sale TikTok Ads": "1.00",
        "spring TikTok Ads": "2.00",
        "t3_5 Reddit Ads": "3.00",
        "nobody clicks TikTok Ads": "4.00",
        "winter TikTok Ads": "–",
    }
    page = hub.normalized_html(marketer.get(url).content.decode())
    unmatched, without_cost = page.split('id="unmatched"')[1].split('id="without-cost"')
    assert ("nobody clicks" in unmatched, "4.00 USD" in unmatched, "SALE" in unmatched) == (True, True, False)
    assert re.findall(r">([^<]+)</a>", without_cost.split('id="uploads"')[0]) == ["winter"]


def test_a_cost_whose_id_is_in_the_column_of_names_is_matched(url: str, game: Game, marketer: Client) -> None:
    player(game, "bob", utm_campaign="spring", utm_id="17890")
    refresh.refresh()
    upload(marketer, url, lines(f"{at(5).date()},tiktok,17890,3,USD,,"))
    assert [row[0] for row in table(marketer, url.removesuffix("costs/"))] == ["All", "spring TikTok Ads"]


def test_spend_without_an_exchange_rate_is_shown_and_divided_by_nothing(url: str, game: Game, marketer: Client) -> None:
    player(game, "ada", paid="10 USD", utm_campaign="autumn")
    refresh.refresh()
    upload(marketer, url, lines(f"{at(5).date()},tiktok,autumn,8,EUR,,"))
    campaigns = url.removesuffix("costs/")
    assert table(marketer, campaigns)[1][7:14] == ["0.00 on 1 of 30 days 8.00 EUR", *["–"] * 6]
    assert "there is no exchange rate: EUR" in marketer.get(campaigns).content.decode()
    ExchangeRate.objects.create(game=game, currency="EUR", rate=Decimal("1.5"))
    assert table(marketer, campaigns)[1][7:10] == ["12.00 on 1 of 30 days 8.00 EUR", "12.00", "12.00"]


def test_roas_counts_the_players_of_days_with_costs(url: str, game: Game, marketer: Client) -> None:
    player(game, "cem", days_ago=9, paid="30 USD", utm_campaign="autumn")
    player(game, "old", days_ago=12, paid="500 USD", utm_campaign="autumn")
    refresh.refresh()
    upload(marketer, url, lines(f"{at(9).date()},tiktok,autumn,8,USD,,"))
    assert table(marketer, url.removesuffix("costs/"))[1][11:14] == ["0.00", "3.75", "–"]
