"""Steam's own numbers: uploads of its UTM analytics, their errors, and the table on Campaigns."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client

from audience.models import Game, Role
from postbacks.models import SteamUpload, SteamVisits
from postbacks.reporting.campaigns import refresh
from postbacks.reporting.steam import files
from tests import hub
from tests.postbacks.test_campaigns_page import at, player, table

pytestmark = pytest.mark.django_db
DAILY = Path(__file__).parents[1] / "fixtures/steam/utm_daily.csv"
HEADER = "Date,UTM Campaign,UTM Source,Total Visits,Wishlists\n"
COUNTS = ("visits", "trusted_visits", "tracked_visits", "wishlists", "purchases", "activations")


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/campaigns/steam/"


def upload(client: Client, url: str, text: str | bytes, name: str = "utm_daily.csv") -> HttpResponse:
    content = text if isinstance(text, bytes) else text.encode()
    return client.post(f"{url}upload/", {"file": SimpleUploadedFile(name, content, "text/csv")}, follow=True)


def stored() -> list[tuple[Any, ...]]:
    rows = SteamVisits.objects.order_by("day", "-visits")
    return list(rows.values_list("day", "campaign", "source", *COUNTS))


def steam_table(client: Client, url: str) -> list[list[str]]:
    """The cells of Steam's table on Campaigns; [] without the section."""
    html = hub.normalized_html(client.get(url).content.decode())
    section = html.partition('id="steam-title"')[2].partition("</section>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", section.partition("<tbody>")[2])
    return [[" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in re.findall("<td.*?</td>", row)] for row in rows]


def test_the_file_of_steamworks_is_stored_by_day_and_parameters(url: str, game: Game, marketer: Client) -> None:
    page = upload(marketer, url, DAILY.read_bytes()).content.decode()
    assert "4 rows of utm_daily.csv were saved. 1 line with totals was left out." in page
    first, second = date(2026, 11, 1), date(2026, 11, 2)
    # The lines of two devices are one row.
    assert stored() == [
        (first, "Autumn", "tiktok", 1570, 522, 208, 48, 9, 1),
        (second, "Autumn", "tiktok", 30, 28, 12, 3, 1, 0),
        (second, "spring", "newsletter", 12, 12, 9, 2, 0, 0),
        (second, "", "", 7, 5, 1, 0, 0, 0),
    ]
    autumn = SteamVisits.objects.get(day=first)
    assert (autumn.medium, autumn.content, autumn.term) == ("cpc", "video", "")
    row = SteamUpload.objects.get()
    assert (row.rows, row.replaced, row.first_day, row.last_day) == (4, 0, first, second)
    assert row.uploaded_by == f"marketer-of-{game.slug}@studio.example"
    assert LogEntry.objects.filter(content_type__model="steamupload").count() == 1


def test_uploading_again_replaces_all_rows_of_the_days(url: str, marketer: Client) -> None:
    upload(marketer, url, DAILY.read_bytes())
    page = upload(marketer, url, HEADER + "2026-11-02,winter,reddit,5,1\n").content.decode()
    assert "1 row of utm_daily.csv was saved. 3 rows of these days from earlier files were replaced." in page
    assert [row[:4] for row in stored()] == [
        (date(2026, 11, 1), "Autumn", "tiktok", 1570),
        (date(2026, 11, 2), "winter", "reddit", 5),
    ]
    # A count without a column is unknown, not 0.
    assert stored()[1][3:] == (5, None, None, 1, None, None)


def test_lines_that_cannot_be_read_are_named_and_nothing_is_saved(url: str, game: Game, marketer: Client) -> None:
    lines = [
        "2026-11-01,autumn,tiktok,1,0",
        "yesterday,autumn,tiktok,1,0",
        "2026-11-01,autumn,tiktok,many,0",
        "2026-11-01,autumn,tiktok,3,-2",
        f"2026-11-01,{'a' * 201},tiktok,3,0",
    ]
    page = hub.normalized_html(upload(marketer, url, HEADER + "\n".join(lines)).content.decode())
    assert "Nothing was saved: 4 of 5 lines have errors." in page
    for problem in (
        "Line 3: yesterday is not a date such as 2026-11-01.",
        "Line 4: many is not a number of visits.",
        "Line 5: -2 is not a number of wishlists.",
        "Line 6: utm_campaign is too long.",
    ):
        assert problem in page, problem
    assert (stored(), SteamUpload.objects.count()) == ([], 0)
    assert not LogEntry.objects.filter(content_type__model="steamupload").exists()


def test_the_line_of_an_error_below_a_title_is_that_of_the_file(url: str, marketer: Client) -> None:
    page = hub.normalized_html(upload(marketer, url, f"A title\n\n{HEADER}never,autumn,tiktok,1,0\n").content.decode())
    assert "Line 4: never is not a date such as 2026-11-01." in page


def test_long_parameters_that_no_index_could_hold_are_refused(url: str, marketer: Client) -> None:
    header = "Date,UTM Campaign,UTM Source,UTM Medium,UTM Content,UTM Term,Total Visits\n"
    line = ",".join(["2026-11-01", *["ü€" * 100] * 5, "1"])
    page = hub.normalized_html(upload(marketer, url, f"{header}{line}\n").content.decode())
    assert "Line 2: The UTM parameters are too long." in page
    assert stored() == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "The file is empty."),
        (b"Date,UTM Campaign,Total Visits\n", "The file needs a line with the column names"),
        (b"UTM Campaign,Wishlists\na,1\n", "The file has no columns “Date” and “Total Visits”."),
        (b"UTM Campaign,Total Visits\na,1\n", "The file has no column “Date”. Download the daily data"),
        (b"A title\nDate,UTM Campaign,Total Visits\n", "The file has no lines below the names of the columns."),
        (b"<!DOCTYPE html>\n<html>,</html>\n", "This is a web page, not a CSV file."),
        (b"\xe4\xf6", "The file is not in UTF-8."),
        (b"x" * 1_000_001, "The file is larger than 1 MB."),
        (b"Date,UTM Campaign,Total Visits\nTotal,,5\n", "Nothing was saved: the file has only lines with totals."),
    ],
)
def test_a_file_without_steams_numbers_is_refused(url: str, marketer: Client, content: bytes, problem: str) -> None:
    assert problem in upload(marketer, url, content).content.decode()
    assert (stored(), SteamUpload.objects.count()) == ([], 0)


def test_the_sample_can_be_uploaded(url: str, viewer: Client, marketer: Client) -> None:
    sample = viewer.get(f"{url}sample/").content
    assert sample.decode() == files.SAMPLE
    assert "1 row of utm_daily.csv was saved." in upload(marketer, url, sample).content.decode()
    assert stored() == [(date(2026, 11, 1), "autumn", "tiktok", 570, 522, 208, 48, 9, 0)]


def test_campaigns_shows_steams_numbers_apart_and_beside_the_campaign_of_the_same_name(
    url: str, game: Game, viewer: Client, marketer: Client
) -> None:
    player(game, "ada", utm_campaign="autumn")
    player(game, "bob", network="reddit", utm_campaign="autumn")
    refresh.refresh()
    campaigns = url.removesuffix("steam/")
    before = table(viewer, campaigns)
    assert steam_table(viewer, campaigns) == []
    assert "Steam’s own numbers" not in viewer.get(campaigns).content.decode()
    day = at(5).date()
    upload(marketer, url, HEADER + f"{day},AUTUMN,tiktok,310,12\n{day},unseen,tiktok,20,\n{day},,,5,0\n")
    assert steam_table(viewer, campaigns) == [
        ["AUTUMN tiktok", "310", "–", "–", "12", "–", "–", "Reddit Ads TikTok Ads"],
        ["unseen tiktok", "20", "–", "–", "0", "–", "–", "None"],
        ["(not named)", "5", "–", "–", "0", "–", "–", "None"],
    ]
    assert table(viewer, campaigns) == before
    page = viewer.get(campaigns).content.decode()
    assert "not part of any figure above" in page
    assert f"{campaigns}?network=tiktok&amp;campaign=autumn&amp;" in page
    assert hub.inline_code(page) == []
    assert [row[0] for row in steam_table(viewer, f"{campaigns}?network=tiktok&campaign=autumn")] == ["AUTUMN tiktok"]
    assert [row[0] for row in steam_table(viewer, f"{campaigns}?q=UNS")] == ["unseen tiktok"]
    earlier = f"{campaigns}?from={at(9).date()}&to={at(8).date()}"
    assert steam_table(viewer, earlier) == []
    assert "No rows of these days." in hub.normalized_html(viewer.get(earlier).content.decode())


def test_numbers_of_another_game_are_neither_shown_nor_replaced(
    url: str, game: Game, other_game: Game, viewer: Client, marketer: Client
) -> None:
    day = at(1).date()
    SteamVisits.objects.create(game=other_game, day=day, campaign="autumn", source="tiktok", visits=9)
    upload(marketer, url, HEADER + f"{day},autumn,tiktok,1,0\n")
    assert SteamVisits.objects.filter(game=other_game).get().visits == 9
    assert [row[:2] for row in steam_table(viewer, url.removesuffix("steam/"))] == [["autumn tiktok", "1"]]


def test_the_page_says_what_to_upload_and_shows_what_is_deleted_before_it_is(
    url: str, game: Game, viewer: Client, marketer: Client
) -> None:
    assert "No numbers of Steam yet" in viewer.get(url).content.decode()
    assert "Marketers and admins of the game can upload" in viewer.get(url).content.decode()
    upload(marketer, url, DAILY.read_bytes())
    assert f"{url}delete/?first=2026-11-01&amp;last=2026-11-02" in marketer.get(url).content.decode()
    assert "Delete 3 rows" in marketer.get(f"{url}delete/?first=2026-11-02&last=2026-11-30").content.decode()
    wrong = marketer.get(f"{url}delete/?first=2026-11-02&last=2026-11-01").content.decode()
    assert "The last day is before the first day." in wrong
    nothing = marketer.get(f"{url}delete/?first=2026-12-02&last=2026-12-03").content.decode()
    assert "There are no rows of these days." in nothing
    assert len(stored()) == 4
    form = {"first": "2026-11-02", "last": "2026-11-30"}
    assert "3 rows were deleted." in marketer.post(f"{url}delete/", form, follow=True).content.decode()
    assert [row[0] for row in stored()] == [date(2026, 11, 1)]
    (entry,) = LogEntry.objects.filter(content_type__model="game", changes__has_key="steam_numbers")
    assert entry.changes == {"steam_numbers": ["3 lines, 2026-11-02 to 2026-11-30", "None"]}
    assert "Steam’s numbers" in hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/audit-log/").content.decode()
