"""Uploads of Steam's numbers that are odd, hostile or concurrent."""

import threading
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audience.models import Game, Role
from postbacks.models import SteamUpload, SteamVisits
from postbacks.reporting.campaigns.cost_files import decoded
from postbacks.reporting.steam import files, uploads
from tests import hub
from tests.postbacks.test_steam_numbers import HEADER, stored, upload, url

pytestmark = pytest.mark.django_db
__all__ = ["url"]
LINE = "2026-11-01,autumn,tiktok,1234,5\n"
ROW = (date(2026, 11, 1), "autumn", "tiktok", 1234, None, None, 5, None, None)


@pytest.mark.parametrize(
    "content",
    [
        (HEADER + LINE).encode("utf-8-sig"),
        (HEADER + LINE).encode("utf-16"),
        b"\xfe\xff" + (HEADER + LINE).encode("utf-16-be"),
        (HEADER + LINE).replace(",", ";").encode(),
        (HEADER + LINE).replace(",", "\t").encode(),
        (HEADER + LINE).replace("\n", "\r\n").encode(),
        (HEADER + LINE).replace("\n", "\r").encode(),
        ("UTM Analytics\n\n" + HEADER + LINE).replace(",", ";").encode(),
        ("UTM Analytics, November 2026\n" + (HEADER + LINE).replace(",", "\t")).encode(),
        ("sep=;\n" + (HEADER + LINE).replace(",", ";")).encode(),
        (HEADER + LINE).replace("autumn", "au\0tumn").encode(),
        (HEADER + LINE)
        .replace(",", '","')
        .replace("\n", '"\n')
        .replace("Date", '"Date')
        .replace("2026", '"2026')
        .encode(),
    ],
    ids=[
        "bom",
        "utf-16",
        "utf-16-be",
        "semicolons",
        "tabs",
        "crlf",
        "cr",
        "title",
        "other-title",
        "sep",
        "nul",
        "quotes",
    ],
)
def test_forms_of_one_file_are_read_alike(url: str, marketer: Client, content: bytes) -> None:
    assert "1 row of utm_daily.csv was saved." in upload(marketer, url, content).content.decode()
    assert stored() == [ROW]


def line(day: Any = "2026-11-01", visits: str = "7") -> str:
    return f'{HEADER}{day},autumn,tiktok,"{visits}",0\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (line("1999-12-31"), "Line 2: 1999-12-31 is not a date such as 2026-11-01."),
        (line("2026-02-30"), "Line 2: 2026-02-30 is not a date such as 2026-11-01."),
        (line("03/04/2026"), "Line 2: 03/04/2026 can mean two dates."),
        (line(timezone.now().date() + timedelta(days=2)), "is in the future."),
        (line(visits="-1"), "Line 2: -1 is not a number of visits."),
        (line(visits="1.5"), "Line 2: 1.5 is not a number of visits."),
        (line(visits="1e9"), "Line 2: 1e9 is not a number of visits."),
        (line(visits="٣"), "Line 2: ٣ is not a number of visits."),
        (line(visits="9" * 30), "is not a number of visits."),
        (line(visits="1,23"), "Line 2: 1,23 is not a number of visits."),
        (line(visits="1234,567"), "Line 2: 1234,567 is not a number of visits."),
        (line(visits=""), "Line 2: The number of visits is missing."),
        (line(visits="=1+1"), "Line 2: =1+1 is not a number of visits."),
        ("Date,UTM Campaign,UTM campaign,Total Visits\n2026-11-01,a,b,1\n", "“UTM Campaign” twice"),
        ("Date,UTM Campaign,Total Visits,Total Visits\n2026-11-01,a,1,2\n", "“Total Visits” twice"),
        (HEADER + '2026-11-01,"autumn\n' * 3, "Nothing was saved"),
        (HEADER + "2026-11-01,autumn\n", "Line 2: The number of visits is missing."),
        (
            HEADER + "2026-11-01,autumn,tiktok,1,0,9,9\n",
            "Line 2: The line has more cells than the line with the names of the columns.",
        ),
        (HEADER + "\n".join(["2026-11-01,a,b,1,0"] * 20_001), "The file has more than 20,000 lines."),
        ("Datum,UTM-Kampagne,Besuche\n2026-11-01,a,1\n", "The file has no columns “Date”"),
    ],
)
def test_a_file_that_cannot_be_meant_saves_nothing(url: str, marketer: Client, text: str, problem: str) -> None:
    upload(marketer, url, HEADER + LINE)
    page = hub.normalized_html(upload(marketer, url, text).content.decode())
    assert problem in page
    assert stored() == [ROW]
    assert SteamUpload.objects.count() == 1


def test_a_column_of_utm_parameters_counts_before_another_of_nearly_the_same_name(url: str, marketer: Client) -> None:
    upload(marketer, url, "Date,Campaign,UTM Campaign,UTM Source,Total Visits\n2026-11-01,other,autumn,tiktok,7\n")
    assert [row[:4] for row in stored()] == [(date(2026, 11, 1), "autumn", "tiktok", 7)]


def test_formulas_and_markup_are_text(url: str, game: Game, marketer: Client) -> None:
    day = timezone.now().date() - timedelta(days=1)
    formula, markup = '=HYPERLINK(""http://evil.example"",""x"")', "<script>alert(1)</script>"
    name = "<b>=cmd.csv"
    upload(marketer, url, f'{HEADER}{day},"{formula}",{markup},3,0\n', name=name)
    for page in (url, url.removesuffix("steam/")):
        html = marketer.get(page).content.decode()
        assert markup not in html
        assert "<b>=cmd" not in html
    export = marketer.get(f"{url.removesuffix('steam/')}export/?format=csv")
    assert b"HYPERLINK" not in b"".join(export.streaming_content)  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
def test_of_two_uploads_of_a_day_at_the_same_time_one_replaces_the_other(game: Game) -> None:
    def store(source: str) -> None:
        lines = "".join(f"2026-11-01,c{number},{source},1,0\n" for number in range(300))
        file = files.read_file(decoded((HEADER + lines).encode()))
        try:
            uploads.store_file(game=game, file=file, name=source, uploaded_by="ada")
        finally:
            connection.close()

    threads = [threading.Thread(target=store, args=[source]) for source in ("tiktok", "reddit")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert SteamVisits.objects.values_list("source").distinct().count() == 1
    assert sorted(SteamUpload.objects.values_list("replaced", flat=True)) == [0, 300]


def test_viewers_see_no_address_of_who_uploaded_and_cannot_upload(url: str, game: Game, marketer: Client) -> None:
    upload(marketer, url, HEADER + LINE)
    viewer = hub.member(game, Role.VIEWER)
    assert f"marketer-of-{game.slug}@" not in viewer.get(url).content.decode()
    assert upload(viewer, url, HEADER + line()).status_code == 403
    assert stored() == [ROW]


def test_a_member_of_another_game_finds_nothing(url: str, other_game: Game, marketer: Client) -> None:
    upload(marketer, url, HEADER + LINE)
    other = hub.member(other_game, Role.ADMIN)
    assert other.get(url).status_code == 404
    assert upload(other, url, HEADER + line()).status_code == 404
    assert other.post(f"{url}delete/", {"first": "2026-11-01", "last": "2026-11-30"}).status_code == 404
    assert stored() == [ROW]
