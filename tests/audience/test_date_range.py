"""The period of a page in its URL: presets, dates with optional hours, time zones, clock changes, and what is wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import RequestFactory
from django.utils import timezone

from audience.hub.toolkit.date_range import ALL, PRESETS, DateRange, read_range
from audience.hub.toolkit.range_input import EnteredRange, range_parameters, read_entered
from audience.wording import dates

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
TOKYO = ZoneInfo("Asia/Tokyo")


def read(query: str, zone: str = "UTC", *, now: datetime = NOW, **given: Any) -> DateRange:
    with timezone.override(ZoneInfo(zone)):
        return read_range(RequestFactory().get(f"/?{query}"), now=now, **{"default": "24h", **given})


def bounds(found: DateRange | EnteredRange) -> tuple[str, str]:
    return f"{found.since.astimezone(UTC):%m-%d %H:%M}", f"{found.until.astimezone(UTC):%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("query", "zone", "expected"),
    [
        ("", "UTC", ("11-20 11:00", "11-21 11:00")),
        ("range=night", "UTC", ("11-20 22:00", "11-21 06:00")),
        ("range=night", "Asia/Tokyo", ("11-20 13:00", "11-20 21:00")),
        ("range=night&zone=Asia/Kathmandu", "Asia/Tokyo", ("11-20 16:15", "11-21 00:15")),
        ("range=7d", "UTC", ("11-15 00:00", "11-22 00:00")),
        ("range=7d", "Asia/Tokyo", ("11-14 15:00", "11-21 15:00")),
        ("range=7d", "Asia/Kathmandu", ("11-14 18:15", "11-21 18:15")),
        ("range=century", "UTC", ("11-20 11:00", "11-21 11:00")),
        ("from=2026-11-20&to=2026-11-20", "Asia/Kathmandu", ("11-19 18:15", "11-20 18:15")),
        ("from=2026-11-20", "UTC", ("11-20 00:00", "11-22 00:00")),
        ("to=2026-11-20", "UTC", ("11-20 00:00", "11-21 00:00")),
        ("from=2026-11-20&from_time=22:00&to=2026-11-21&to_time=06:00", "Asia/Tokyo", ("11-20 13:00", "11-20 21:00")),
        ("from=2026-11-20&from_time=22:00&to=2026-11-21", "UTC", ("11-20 22:00", "11-22 00:00")),
        ("from=2026-11-20&to=2026-11-20&to_time=06:00", "UTC", ("11-20 00:00", "11-20 06:00")),
        # To quarter hours, so that no moment is lost.
        ("from=2026-11-20&from_time=22:07&to=2026-11-20&to_time=22:16", "UTC", ("11-20 22:00", "11-20 22:30")),
    ],
)
def test_a_period_is_a_preset_or_dates_in_the_time_zone_of_the_page(
    query: str, zone: str, expected: tuple[str, str]
) -> None:
    found = read(query, zone)
    assert (bounds(found), found.error) == (expected, "")


def test_a_day_of_a_clock_change_has_23_or_25_hours() -> None:
    spring, autumn = (read(f"from={day}&to={day}", "Europe/Berlin") for day in ("2026-03-29", "2026-10-25"))
    assert (spring.until - spring.since, autumn.until - autumn.since) == (timedelta(hours=23), timedelta(hours=25))
    assert [len(one.columns) for one in (spring, autumn)] == [23, 25]
    with timezone.override(ZoneInfo("Europe/Berlin")):
        assert [dates.hour(start) for start, _ in spring.columns[:4]] == ["00:00", "01:00", "03:00", "04:00"]
        assert [dates.hour(start) for start, _ in autumn.columns[:5]] == ["00:00", "01:00", "02:00", "02:00", "03:00"]


def test_each_column_of_a_day_with_a_clock_change_has_a_link_to_exactly_its_hour() -> None:
    autumn = read("from=2026-10-25&to=2026-10-25", "Europe/Berlin")
    for start, end in autumn.columns:
        again = read_entered(range_parameters(start, end, autumn.zone), zone=TOKYO, now=NOW, max_days=9)
        assert (again.since, again.until) == (start, end)


def test_a_day_without_midnight_begins_at_its_first_moment() -> None:
    # Clocks went from 24:00 to 01:00 in Beirut.
    found = read("from=2026-03-29&to=2026-03-29", "Asia/Beirut")
    assert found.until - found.since == timedelta(hours=23)


def test_columns_are_hours_days_or_weeks_without_a_gap() -> None:
    for query, zone, unit, number in [
        ("", "Asia/Kathmandu", "Hour", 24),
        ("range=night", "Asia/Kathmandu", "Hour", 9),
        ("range=7d", "Asia/Kathmandu", "Day", 7),
        ("range=90d", "America/St_Johns", "Day", 90),
        ("from=2026-01-01&to=2026-11-20", "UTC", "Week", 47),
    ]:
        found = read(query, zone)
        assert (found.unit, len(found.columns)) == (unit, number), query
        edges = found.edges
        assert (edges[0], edges[-1], edges) == (found.since, found.until, sorted(set(edges)))


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("from=yesterday", "Enter both dates as year, month and day, such as 2026-11-01."),
        ("from=2026-11-31&to=2026-12-01", "Enter both dates as year, month and day, such as 2026-11-01."),
        ("from=2026-11-20&from_time=noon", "Enter times as hours and minutes, such as 22:00."),
        ("from=2026-11-20&from_time=10:00%2B02:00", "Enter times as hours and minutes, such as 22:00."),
        ("from=2026-11-20&to=2026-11-19", "The first day is after the last day."),
        ("from=2026-11-20&from_time=22:00&to=2026-11-20&to_time=21:00", "The end is not after the beginning."),
        ("from=2024-11-20&to=2026-11-19", "A report covers at most 366 days."),
        ("from=1999-11-20&to=1999-11-21", "Enter days from 2000 to 2100."),
        ("from=2026-11-20&to=9999-12-31", "Enter days from 2000 to 2100."),
        ("zone=Mars/Olympus", "“Mars/Olympus” is not a time zone. Use a name such as Europe/Berlin."),
        ("from=2026-11-20&zone=../etc/passwd", "“../etc/passwd” is not a time zone. Use a name such as Europe/Berlin."),
    ],
)
def test_what_is_wrong_with_dates_is_said_and_the_default_is_shown(query: str, error: str) -> None:
    found = read(query)
    assert (found.error, bounds(found)) == (error, ("11-20 11:00", "11-21 11:00"))


def test_a_period_leads_to_itself_on_another_page() -> None:
    queries = [f"range={key}" for key in PRESETS]
    queries += ["from=2026-11-01&to=2026-11-07", "from=2026-11-20&from_time=22:00&to=2026-11-21&to_time=06:15"]
    for query in queries:
        found = read(query, "Asia/Kathmandu")
        with timezone.override(ZoneInfo("Asia/Kathmandu")):
            assert bounds(read(found.query, "Asia/Kathmandu")) == bounds(found), query
        elsewhere = read(f"{query}&zone=America/St_Johns", "Asia/Kathmandu")
        with timezone.override(ZoneInfo("Asia/Kathmandu")):
            assert bounds(read(elsewhere.query, "Asia/Kathmandu")) == bounds(elsewhere), query


def test_the_form_of_dates_has_the_present_period_and_keeps_the_other_filters() -> None:
    found = read("range=7d&status=failed&before=x", "Asia/Tokyo")
    assert found.inputs == {"from": "2026-11-15", "to": "2026-11-21"}
    assert found.kept == [("status", "failed")]
    assert read("range=night", "Asia/Tokyo").inputs == {
        "from": "2026-11-20",
        "from_time": "22:00",
        "to": "2026-11-21",
        "to_time": "06:00",
        "zone": "Asia/Tokyo",
    }
    assert read("range=all", presets=(ALL, *PRESETS), default=ALL).inputs == {}


def test_a_period_is_named_in_sentences() -> None:
    with timezone.override(TOKYO):
        night = read("from=2026-11-20&from_time=22:00&to=2026-11-21&to_time=06:00", "Asia/Tokyo")
        assert night.label == "Nov 20, 22:00 – Nov 21, 06:00 JST"
        day = read("from=2026-11-20&to=2026-11-20", "Asia/Tokyo")
        assert (day.label, day.phrase) == ("Nov 20, 2026 (Asia/Tokyo)", "on Nov 20, 2026 (Asia/Tokyo)")
        assert read("from=2025-12-31&to=2026-01-01", "UTC").label == "Dec 31, 2025 to Jan 1, 2026 (UTC)"
    assert [read(f"range={key}").phrase for key in PRESETS] == [
        "in the last 24 hours",
        "last night",
        "in the last 7 days",
        "in the last 30 days",
        "in the last 90 days",
    ]


def test_times_have_the_abbreviation_of_the_zone_or_its_offset() -> None:
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    said = {}
    for name in ("UTC", "Europe/Berlin", "Asia/Tokyo", "Asia/Kathmandu", "America/Sao_Paulo", "America/St_Johns"):
        with timezone.override(ZoneInfo(name)):
            said[name] = dates.moment(at)
    assert said == {
        "UTC": "Jul 1, 2026, 12:00 UTC",
        "Europe/Berlin": "Jul 1, 2026, 14:00 CEST",
        "Asia/Tokyo": "Jul 1, 2026, 21:00 JST",
        "Asia/Kathmandu": "Jul 1, 2026, 17:45 UTC+5:45",
        "America/Sao_Paulo": "Jul 1, 2026, 09:00 UTC-3",
        "America/St_Johns": "Jul 1, 2026, 09:30 NDT",
    }


def test_a_time_from_to_names_the_day_twice_only_if_it_changes() -> None:
    with timezone.override(ZoneInfo("Europe/Berlin")):
        start = datetime(2026, 11, 21, 21, 10, tzinfo=UTC)
        assert dates.between(start, start + timedelta(hours=3)) == "Nov 21, 22:10 – Nov 22, 01:10 CET"
        assert dates.between(start, start + timedelta(hours=1)) == "Nov 21, 22:10 – 23:10 CET"
        change = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
        assert dates.between(change, change + timedelta(hours=2)) == "Oct 25, 02:30 CEST – 03:30 CET"
        new_year = datetime(2026, 12, 31, 22, 30, tzinfo=UTC)
        assert dates.between(new_year, new_year + timedelta(hours=2)) == "Dec 31, 2026, 23:30 – Jan 1, 2027, 01:30 CET"
