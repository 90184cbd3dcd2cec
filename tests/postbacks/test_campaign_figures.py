"""The figures of campaigns and cohorts equal those of a plain query over all rows, for random histories."""

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.database import clock
from audience.digest import owned_ids
from audience.models import ActiveQuarter, Conversion, Game, Person, Touch
from audience.privacy import erasure
from postbacks.models import CohortDay, Delivery
from postbacks.outbox import fan_out
from postbacks.reporting.campaigns import figures, listed, refresh
from postbacks.reporting.campaigns.figures import Figures, Scope
from postbacks.reporting.campaigns.periods import Period, midnight
from tests import factories
from tests.effort import examples
from tests.postbacks import histories
from tests.postbacks.histories import History

pytestmark = pytest.mark.django_db
# Half an hour and three quarters beside full hours, and half the world away.
ZONES = [ZoneInfo(name) for name in ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/Los_Angeles")]
NAMES = {
    "campaign": ("utm_campaign", "campaign_name", "utm_id", "campaign_id"),
    "ad_group": ("ad_group_name", "utm_term", "ad_group_id"),
    "ad": ("ad_name", "utm_content", "ad_id"),
}
UNCOUNTED = ("repeat_launch", "refund", "erased")


# The plain query ------------------------------------------------------------------------------


def ad_of(touch: Touch) -> tuple[str, ...]:
    tags = touch.campaign
    named = (next((tags[key] for key in keys if tags.get(key)), "") for keys in NAMES.values())
    return (touch.network, *named)


def counted(game: Game) -> list[Conversion]:
    rows = Conversion.objects.filter(game=game, test=False, repeats_order=False).exclude(reason__in=UNCOUNTED)
    return list(rows.select_related("touch").order_by("event_at", "pk"))


def first_clicks(game: Game) -> dict[Any, Touch]:
    rows = Touch.objects.filter(game=game).order_by("-clicked_at", "-network", "-click_key")
    return {touch.person_id: touch for touch in rows}


def plain_rows(scope: Scope, depth: int) -> dict[tuple[str, ...], Figures]:
    found: dict[tuple[str, ...], Figures] = defaultdict(Figures)
    period, seen = scope.period, set()
    firsts = {touch.pk for touch in first_clicks(scope.game).values()}
    for touch in Touch.objects.filter(game=scope.game):
        if period.first <= touch.clicked_at.astimezone(period.zone).date() <= period.last:
            found[ad_of(touch)[:depth]].add("", "", (1, touch.pk in firsts, 0, 0, 0))
    for row in counted(scope.game):
        if row.touch is None:
            continue
        is_first = (row.person_id, row.trigger) not in seen
        seen.add((row.person_id, row.trigger))
        if period.first <= row.event_at.astimezone(period.zone).date() <= period.last:
            deliveries = list(Delivery.objects.filter(conversion=row))
            sent = any(delivery.attempts_made for delivery in deliveries)
            accepted = any(delivery.state == "delivered" for delivery in deliveries)
            sums = (1, is_first, sent, accepted, row.value or 0)
            found[ad_of(row.touch)[:depth]].add(row.trigger, row.currency, sums)
    return dict(found)


def plain_cohorts(scope: Scope) -> dict[date, dict[str, Any]]:
    zone, found = scope.period.zone, {}
    for person_id, click in first_clicks(scope.game).items():
        day = click.clicked_at.astimezone(zone).date()
        row = found.setdefault(day, {"players": 0, "active": Counter(), "revenue": defaultdict(Decimal)})
        row["players"] += 1
        active = {(at.astimezone(zone).date() - day).days for at in activity(scope.game, person_id, click.clicked_at)}
        row["active"].update(active & {1, 7, 30})
        for paid in counted(scope.game):
            if paid.person_id == person_id and paid.value is not None and paid.event_at >= click.clicked_at:
                after = (paid.event_at.astimezone(zone).date() - day).days
                for days in (0, 1, 7, 30, 90):
                    row["revenue"][days, paid.currency] += paid.value if after <= days else 0
    return found


def activity(game: Game, person_id: Any, since: datetime) -> list[datetime]:
    person = Person.objects.get(pk=person_id)
    events = owned_ids.events_of(game.pk, owned_ids.owned_ids(person)).exclude(context__contains={"active": False})
    return [event.event_at for event in events if event.event_at >= since]


# What is kept -------------------------------------------------------------------------------


def stored_cohorts(game: Game) -> dict[date, dict[str, Any]]:
    found: dict[date, dict[str, Any]] = {}
    for row in CohortDay.objects.filter(game_id=game.pk):
        day = found.setdefault(row.day, {"players": 0, "active": Counter(), "revenue": defaultdict(Decimal)})
        day["players"] += row.players
        day["active"].update({days: n for days in (1, 7, 30) if (n := getattr(row, f"active_{days}"))})
        for days in (0, 1, 7, 30, 90) if row.currency else ():
            day["revenue"][days, row.currency] += getattr(row, f"revenue_{days}")
    return found


def deliver(game: Game, number: int) -> None:
    """Fan out, and have some of the deliveries sent, accepted or failed."""
    fan_out.drain()
    for index, row in enumerate(Delivery.objects.filter(game=game, state="waiting").order_by("event_at", "pk")):
        state = ("delivered", "failed", "waiting")[(index + number) % 3]
        Delivery.objects.filter(pk=row.pk).update(state=state, attempts_made=state != "waiting")


@st.composite
def tagged(draw: st.DrawFn) -> History:
    """A history whose clicks name ads."""
    history = draw(histories.histories())
    tags = st.sampled_from(
        ("", "&utm_campaign=autumn", "&utm_campaign=spring&ad_id=7", "&campaign_id=9&adgroup_name=g")
    )
    for _, step in history.steps:
        if step["type"] == "page":
            step["context"]["pageUrl"] += draw(tags)
    return history


def checked(game: Game, zone: ZoneInfo) -> None:
    today = clock.now().astimezone(zone).date()
    for first, last in ((today - timedelta(days=20), today), (today - timedelta(days=4), today - timedelta(days=2))):
        scope = Scope(game=game, period=Period(first, last, zone))
        for depth in (1, 2, 4):
            assert figures.rows_of(scope, depth=depth) == plain_rows(scope, depth)
        days = figures.by_day(scope)
        assert figures.total(days.values()) == figures.total(plain_rows(scope, 1).values())
        for names, row in plain_rows(scope, 2).items():
            narrowed = Scope(game=game, period=scope.period, path=names)
            assert figures.total(figures.by_day(narrowed).values()) == row
            lists(narrowed, row)


def lists(scope: Scope, row: Figures) -> None:
    """The lists behind the figures have as many rows as they say."""
    assert len(listed.players(scope, limit=100)) == row.players
    assert len(listed.conversions(scope, limit=100)) == row.conversions
    for part in ("sent", "accepted"):
        assert len(listed.conversions(scope, limit=100, part=part)) == getattr(row, part)
    for trigger, number in row.events.items():
        assert len(listed.conversions(scope, limit=100, trigger=trigger)) == number
        assert len(listed.conversions(scope, limit=100, trigger=trigger, part="first")) == row.firsts[trigger]


@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=tagged(), zone=st.sampled_from(ZONES), other=st.sampled_from(ZONES), erased=st.sampled_from(("", "u1")))
def test_figures_equal_a_plain_query(history: History, zone: ZoneInfo, other: ZoneInfo, erased: str) -> None:
    game = histories.new_game()
    game.time_zone = zone.key
    game.save()
    arrival = history.arrivals[0]
    for number, _ in enumerate(histories.send(history, arrival, game=game, now=histories.present_second())):
        deliver(game, number)
        refresh.refresh()
    if erased:
        erasure.request_erasure(game=game, namespace="user", subject=erased, requested_by="admin")
        erasure.drain()
    refresh.refresh()

    for read_in in {zone, other}:
        checked(game, read_in)
    scope = Scope(game=game, period=Period(date(2000, 1, 1), date(2100, 1, 1), zone))
    assert stored_cohorts(game) == plain_cohorts(scope)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        # The clocks go back from 1:00 to 0:00: two midnights.
        ("Atlantic/Azores", date(2025, 10, 26), 25),
        ("America/Havana", date(2025, 11, 2), 25),
        # Forward from 0:00 to 1:00: none.
        ("America/Santiago", date(2025, 9, 7), 23),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
    ],
)
def test_days_on_which_the_clocks_change_have_all_their_clicks(game: Game, zone: str, day: date, hours: float) -> None:
    game.time_zone = zone
    game.save()
    start = midnight(day, ZoneInfo(zone))
    assert midnight(day + timedelta(days=1), ZoneInfo(zone)) - start == timedelta(hours=hours)
    ada = factories.person(game, user="ada")
    for quarter in range(-8, int(hours * 4) + 8):
        clicked_at = start + timedelta(minutes=15 * quarter)
        factories.touch(ada, click_id=f"click-{quarter}", clicked_at=clicked_at, campaign={"utm_campaign": "autumn"})
    # Active in the first quarter hour of the changed day, which is the first day after the click.
    ActiveQuarter.objects.create(game_id=game.pk, person_id=ada.pk, starts_at=start)
    refresh.refresh()
    days = [day + timedelta(days=number) for number in (-1, 0, 1)]
    scope = Scope(game=game, period=Period(days[0], days[-1], ZoneInfo(zone)))
    by_day = figures.by_day(scope)
    assert [by_day[one].clicks for one in days] == [8, hours * 4, 8]
    assert [row.clicks for row in figures.rows_of(scope, depth=1).values()] == [16 + hours * 4]
    elsewhere = Scope(game=game, period=Period(days[0], days[-1], ZoneInfo("UTC")))
    assert sum(row.clicks for row in figures.by_day(elsewhere).values()) == 16 + hours * 4
    assert list(CohortDay.objects.values_list("day", "players", "active_1")) == [(days[0], 1, 1)]
    assert [pk for pk, _ in listed.players(scope, limit=9, active=1)] == [ada.pk]


def test_the_list_behind_a_figure_is_in_order_over_a_long_period() -> None:
    """It is read in parts of one day, two, four and so on."""
    game, now = factories.game(), clock.now()
    ages = [0.1, 0.6, 0.9, 1.2, 2.5, 3.4, 6, 7.1, 14, 15, 30, 31, 62, 80]
    expected = []
    for number, age in enumerate(ages):
        person = factories.person(game, user=f"player {number}")
        factories.touch(person, click_id=f"c{number}", clicked_at=now - timedelta(days=age))
        expected.append(person.pk)
    refresh.refresh()
    today = now.astimezone(game.zone).date()
    scope = Scope(game=game, period=Period(today - timedelta(days=89), today, game.zone))
    for offset in range(len(ages) + 1):
        read = listed.players(scope, limit=3, offset=offset)
        assert [pk for pk, _ in read] == expected[offset : offset + 3]
    assert [pk for pk, _ in listed.players(scope, limit=50)] == expected
