"""Costs of campaigns: uploads, their errors, and what Campaigns makes of them."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from auditlog.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client

from audience.models import Game
from postbacks.models import AdCost, CostUpload
from postbacks.reporting.campaigns import cost_files, refresh
from tests import hub
from tests.postbacks.test_campaigns_page import at, player, table

pytestmark = pytest.mark.django_db
HEADER = "date,network,campaign,spend,currency,clicks,impressions\n"


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/campaigns/costs/"


def upload(client: Client, url: str, text: str | bytes, name: str = "costs.csv") -> HttpResponse:
    content = text if isinstance(text, bytes) else text.encode()
    return client.post(f"{url}upload/", {"file": SimpleUploadedFile(name, content, "text/csv")}, follow=True)


def stored() -> list[tuple[object, ...]]:
    fields = ("day", "network", "campaign", "spend", "currency", "clicks", "impressions")
    return list(AdCost.objects.order_by("day", "network").values_list(*fields))


def test_an_upload_is_stored_listed_and_recorded(url: str, game: Game, marketer: Client) -> None:
    text = HEADER + '2026-11-01,TikTok Ads,autumn,"1,120.50",usd,310,"20,400"\n02.11.2026,reddit,spring,80,EUR,,\n'
    page = upload(marketer, url, text).content.decode()
    assert "2 lines of costs.csv were saved." in page
    assert stored() == [
        (date(2026, 11, 1), "tiktok", "autumn", Decimal("1120.5"), "USD", 310, 20400),
        (date(2026, 11, 2), "reddit", "spring", Decimal(80), "EUR", None, None),
    ]
    assert CostUpload.objects.get().uploaded_by == f"marketer-of-{game.slug}@studio.example"
    assert LogEntry.objects.filter(content_type__model="costupload").count() == 1


def test_uploading_again_replaces_the_same_days_and_campaigns(url: str, marketer: Client) -> None:
    upload(marketer, url, HEADER + "2026-11-01,tiktok,autumn,1,USD,,\n2026-11-02,tiktok,autumn,2,USD,,\n")
    page = upload(marketer, url, HEADER + "2026-11-02,tiktok,autumn,5,USD,,\n").content.decode()
    assert "1 line of costs.csv was saved. It replaced 1 earlier one." in page
    assert [row[3] for row in stored()] == [1, 5]


def test_lines_that_cannot_be_read_are_named_and_nothing_is_stored(url: str, marketer: Client) -> None:
    lines = [
        "2026-11-01,tiktok,autumn,1,USD,,",
        "yesterday,tiktok,autumn,1,USD,,",
        "2026-11-01,nobody,autumn,1,USD,,",
        "2026-11-01,tiktok,,1,USD,,",
        "2026-11-01,tiktok,spring,-1,USD,,",
        "2026-11-01,tiktok,spring,1,DOLLAR,,",
        "2026-11-01,tiktok,spring,1,USD,many,",
        "2026-11-01,tiktok,autumn,2,USD,,",
    ]
    page = hub.normalized_html(upload(marketer, url, HEADER + "\n".join(lines)).content.decode())
    assert "Nothing was saved: 7 of 8 lines have errors." in page
    for problem in (
        "Line 3: yesterday is not a date such as 2026-11-01.",
        "Line 4: nobody is not a network. Use one of",
        "Line 5: The campaign is missing.",
        "Line 6: -1 is negative, so it cannot be the cost of a day.",
        "Line 7: DOLLAR is not a currency code such as USD.",
        "Line 8: many is not a number of clicks.",
        "Line 9: A second line for autumn on 2026-11-01.",
    ):
        assert problem in page, problem
    assert (stored(), CostUpload.objects.count()) == ([], 0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "The file is empty."),
        (b"date,network\n", "The file needs a line with the column names, and one line per day and campaign."),
        ("Tag,Ü\n1,2\n".encode("latin-1"), "The file is not in UTF-8."),
        (b"x" * 1_000_001, "The file is larger than 1 MB."),
    ],
)
def test_a_file_that_is_no_list_of_costs_is_refused(url: str, marketer: Client, content: bytes, problem: str) -> None:
    assert problem in upload(marketer, url, content).content.decode()
    assert CostUpload.objects.count() == 0


def test_columns_of_other_names_are_selected_by_the_member(url: str, marketer: Client) -> None:
    text = "Tag;Kampagne;Kosten\n2026-11-01;autumn;12\n"
    page = upload(marketer, url, text).content.decode()
    assert "Match columns" in page
    form = {"text": text, "name": "bericht.csv", "date": "0", "campaign": "1", "spend": "2"}
    page = marketer.post(f"{url}columns/", form, follow=True).content.decode()
    assert "Select the column with the network, or the network of all lines below." in page
    assert stored() == []
    form |= {"all_network": "tiktok", "all_currency": "EUR"}
    assert "1 line of bericht.csv was saved." in marketer.post(f"{url}columns/", form, follow=True).content.decode()
    assert stored() == [(date(2026, 11, 1), "tiktok", "autumn", Decimal(12), "EUR", None, None)]


def test_the_sample_can_be_uploaded(url: str, viewer: Client, marketer: Client) -> None:
    sample = viewer.get(f"{url}sample/").content
    assert sample.decode() == cost_files.SAMPLE
    assert "2 lines of costs.csv were saved." in upload(marketer, url, sample).content.decode()


def test_costs_give_cpc_cost_per_launch_and_payer_and_roas(url: str, game: Game, marketer: Client) -> None:
    player(game, "ada", paid="10 USD", utm_campaign="autumn")
    player(game, "bob", utm_campaign="autumn")
    player(game, "cem", days_ago=9, paid="30 USD", utm_campaign="autumn")
    player(game, "dora", paid="99 USD", utm_campaign="without costs")
    refresh.refresh()
    lines = [f"{at(days).date()},tiktok,{name},8,USD,," for days, name in ((5, "autumn"), (9, "autumn"), (5, "unseen"))]
    upload(marketer, url, HEADER + "\n".join(lines))
    campaigns = url.removesuffix("costs/")
    rows = {row[0]: row[7:14] for row in table(marketer, campaigns)}
    # Spend, CPC, per launch, per payer; D0: nobody paid on the day of the click; D7 is over for the older day only.
    assert rows["autumn TikTok Ads"] == ["16.00 on 2 of 30 days", "5.33", "5.33", "8.00", "0.00", "3.75", "–"]
    assert rows["unseen TikTok Ads"] == ["8.00 on 1 of 30 days", "–", "–", "–", "0.00", "–", "–"]
    assert rows["without costs TikTok Ads"] == ["–"] * 7
    assert rows["All"] == ["24.00 on 2 of 30 days", "8.00", "8.00", "12.00", "0.00", "3.75", "–"]
    # The clicks of the campaign without costs are not divided by.
    network = {row[0]: row[7:9] for row in table(marketer, campaigns + "?by=network")}
    assert network == {"All": ["24.00 on 2 of 30 days", "8.00"], "TikTok Ads": ["24.00 on 2 of 30 days", "8.00"]}


def test_costs_of_another_game_are_not_counted(url: str, game: Game, other_game: Game, marketer: Client) -> None:
    day = at(1).date()
    AdCost.objects.create(game=other_game, day=day, network="tiktok", campaign="autumn", spend=5, currency="USD")
    upload(marketer, url, HEADER + f"{day},tiktok,autumn,1,USD,,\n{day - timedelta(days=1)},tiktok,autumn,1,USD,,")
    assert AdCost.objects.filter(game=other_game).count() == 1
    assert table(marketer, url.removesuffix("costs/"))[0][7] == "2.00 on 2 of 30 days"
