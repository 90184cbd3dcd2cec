"""Compare with the network: numbers by day of the ad account and event, and why some conversions are missing there."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.models import Conversion, Game, Role
from audience.wording import time_zones
from audience.wording.days import Days, last_days
from postbacks.configs import credentials, lifecycle
from postbacks.configs.forms import PostbackForm
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.models import CredentialCheck, Delivery, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.reporting.comparison import Comparison, compare
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


def bought(
    config: PostbackConfig, at: datetime, state: str, *, conversion: dict[str, Any] | None = None, **given: Any
) -> Delivery:
    player = factories.person(config.game)
    click = factories.touch(player, network=config.network, clicked_at=at - timedelta(hours=1))
    row = factories.conversion(player, touch=click, event_at=at, fanned_out_at=at, **(conversion or {}))
    calls = {"delivered": 1, "failed": 1}
    return factories.delivery(config, conversion=row, state=state, attempts_made=calls.get(state, 0), **given)


def compared(config: PostbackConfig, days: Days) -> Comparison:
    return compare(config, dates=days.dates, starts=days.starts)


def texts(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split()).replace("\xa0", " ")


def test_days_are_those_of_the_ad_account(config: PostbackConfig) -> None:
    for at in ("2026-11-20T14:59:59", "2026-11-20T15:00:00", "2026-11-21T14:59:59", "2026-11-21T15:00:00"):
        bought(config, datetime.fromisoformat(f"{at}+00:00"), "delivered")
    tokyo = last_days(2, time_zones.zone_or_utc("Asia/Tokyo"), now=NOW)
    found = compared(config, tokyo)
    counts = {(f"{day:%m-%d}", event): row.counts["accepted"] for (day, event), row in found.by_day.items()}
    assert counts == {("11-21", "purchase"): 2, ("11-20", "purchase"): 1}
    assert found.total.counts["accepted"] == 3


def test_a_day_of_a_clock_change_has_23_or_25_hours(config: PostbackConfig) -> None:
    zone = time_zones.zone_or_utc("Europe/Berlin")
    spring = Days(date(2026, 3, 29), date(2026, 3, 29), zone)
    autumn = Days(date(2026, 10, 25), date(2026, 10, 25), zone)
    assert [days.starts[1] - days.starts[0] for days in (spring, autumn)] == [timedelta(hours=23), timedelta(hours=25)]
    bought(config, datetime(2026, 10, 25, 22, 59, tzinfo=UTC), "delivered")
    bought(config, datetime(2026, 10, 25, 23, 0, tzinfo=UTC), "delivered")
    assert compared(config, autumn).total.counts["accepted"] == 1


def test_every_eligible_conversion_is_accepted_or_has_a_finding(config: PostbackConfig) -> None:
    for state, given in (
        ("delivered", {}),
        ("delivered", {}),
        ("failed", {"verdict": "payload"}),
        ("failed", {"verdict": "transient"}),
        ("waiting", {}),
        ("held", {}),
        ("cancelled", {}),
        ("skipped", {"reason": "consent"}),
        ("skipped", {"reason": "consent", "may_have_arrived": True}),
        ("skipped", {"reason": "filtered"}),
        ("skipped", {"reason": "repeat_order"}),
        ("skipped", {"reason": "repeat_launch"}),
    ):
        bought(config, NOW, state, **given)
    found = compared(config, last_days(7, time_zones.zone_or_utc("UTC"), now=NOW))
    assert dict(found.total.counts) == {"eligible": 10, "sent": 4, "accepted": 2, "confirmed": 0, "refused": 1}
    missing = ("refused", "expired", "waiting", "held", "canceled", "consent", "unknown", "filtered")
    assert found.findings == {key: {"purchase": 1} for key in sorted(missing)}
    assert found.missing == sum(sum(events.values()) for events in found.findings.values()) == 8


def test_what_no_total_counts_is_not_eligible(config: PostbackConfig) -> None:
    bought(config, NOW, "skipped", reason="refund", conversion={"reason": "refund"})
    bought(config, NOW, "skipped", reason="refund", conversion={"trigger": "level_up"})
    bought(config, NOW, "skipped", reason="consent", conversion={"repeats_order": True})
    bought(config, NOW, "skipped", reason="test_traffic", conversion={"test": True})
    bought(config, NOW, "delivered", conversion={"repeats_order": True})
    found = compared(config, last_days(7, time_zones.zone_or_utc("UTC"), now=NOW))
    assert dict(found.total.counts) == {"eligible": 2, "sent": 1, "accepted": 1, "confirmed": 0, "refused": 0}
    assert found.findings == {"refund": {"level_up": 1}}


def test_a_conversion_of_another_game_or_postback_is_not_counted(config: PostbackConfig, other_game: Game) -> None:
    second = factories.config(config.game, pixel_id="C0SECONDPIXEL0000000")
    for other in (second, factories.config(other_game)):
        bought(other, NOW, "delivered")
    assert compared(config, last_days(7, time_zones.zone_or_utc("UTC"), now=NOW)).total.counts["eligible"] == 0


def test_values_are_summed_by_currency_of_what_was_accepted(config: PostbackConfig, marketer: Client) -> None:
    now = timezone.now()
    for value, currency in (("9.99", "USD"), ("0.01", "USD"), ("1500", "JPY")):
        bought(config, now, "delivered", conversion={"value": Decimal(value), "currency": currency})
    bought(config, now, "failed", conversion={"value": Decimal(5), "currency": "USD"}, verdict="payload")
    bought(config, now, "delivered", conversion={"properties": {"value": 3}})
    found = compared(config, last_days(7, time_zones.zone_or_utc("UTC"), now=now))
    assert dict(found.total.values) == {"USD": Decimal("10.000000"), "JPY": Decimal("1500.000000")}
    assert found.findings == {"refused": {"purchase": 1}, "no_currency": {"purchase": 1}}
    page = texts(marketer.get(f"/g/{config.game.slug}/integrations/tiktok/compare/").content.decode())
    assert "1,500 JPY 10.00 USD" in page
    assert "1 sent without value: no currency (Purchase) Send the amount as a number from 0 up" in page


def test_the_page_leads_from_the_missing_number_to_the_reasons(config: PostbackConfig, viewer: Client) -> None:
    now = timezone.now()
    for _ in range(7):
        bought(config, now, "delivered")
    for _ in range(12):
        bought(config, now, "skipped", reason="consent")
    bought(config, now, "delivered", conversion={"trigger": "game_launch"})
    factories.conversion(factories.person(config.game), event_at=now)
    url = f"/g/{config.game.slug}/integrations/tiktok/compare/"
    page = texts(viewer.get(url).content.decode())
    assert "Expect at most 8 in the report of TikTok Ads." in page
    assert "It accepted 8 of 20 eligible conversions; 12 are missing" in page
    assert "12 not sent: no consent (Purchase) Check which consent level the game sends with its events." in page
    assert "Days are in the ad account’s time zone, UTC" in page
    part = viewer.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "12 not sent: no consent" in texts(part)


def test_conversions_that_are_not_decided_are_a_finding_with_their_list(config: PostbackConfig, viewer: Client) -> None:
    player = factories.person(config.game)
    factories.conversion(player, touch=factories.touch(player))
    page = viewer.get(f"/g/{config.game.slug}/integrations/tiktok/compare/").content.decode()
    href = re.search(r'data-figure="1" href="([^"]+only=undecided[^"]+)"', page)
    assert href is not None
    listed = viewer.get(href[1].replace("&amp;", "&")).content.decode()
    assert len(re.findall(r'id="conversion-[0-9a-f-]{36}"', listed)) == 1


def missing_on(page: str) -> tuple[int, list[int]]:
    """The number that the page says is missing, and those of the reasons below it."""
    said = re.search(r'<span id="missing"><a [^>]*data-figure="(\d+)"', page)
    reasons = re.findall(r'<li class="missing">\s*<strong><a class="figure" data-figure="(\d+)"', page)
    return int(said[1]) if said else 0, [int(number) for number in reasons]


def test_the_reasons_add_up_to_what_is_missing(config: PostbackConfig, viewer: Client) -> None:
    now = timezone.now()
    bought(config, now, "delivered", conversion={"properties": {"value": 3}})
    bought(config, now, "delivered", confirmation="awaited")
    bought(config, now, "skipped", reason="consent")
    for state in ("held", "waiting", "waiting"):
        bought(config, now, state)
    player = factories.person(config.game)
    factories.conversion(player, touch=factories.touch(player))
    page = viewer.get(f"/g/{config.game.slug}/integrations/tiktok/compare/").content.decode()
    said, reasons = missing_on(page)
    assert (said, sorted(reasons)) == (4, [1, 1, 2])
    assert "1 being processed, so not eligible yet" in texts(page)
    assert "It accepted 2 of 6 eligible conversions" in texts(page)


def test_the_table_by_event_has_no_column_of_days(config: PostbackConfig, viewer: Client) -> None:
    bought(config, timezone.now(), "delivered")
    page = viewer.get(f"/g/{config.game.slug}/integrations/tiktok/compare/").content.decode()
    by_event, by_day = re.findall(r'<table class="table compare">.*?</table>', page, re.DOTALL)
    assert 'data-label="Day"' not in by_event
    assert 'data-label="Day"' in by_day
    for table in (by_event, by_day):
        body = table.partition("<tbody>")[2]
        assert len(re.findall(r"<th\b", table)) == len(re.findall(r"<td\b", body))


def test_a_deleted_postback_with_conversions_can_still_be_compared(config: PostbackConfig, marketer: Client) -> None:
    bought(config, timezone.now(), "delivered")
    url = f"/g/{config.game.slug}/integrations/tiktok/"
    PostbackConfig.objects.update(deleted_at=timezone.now())
    alone = marketer.get(f"{url}compare/").content.decode()
    assert "It accepted 1 of 1 eligible conversion" in texts(alone)
    assert f"{config.pixel_id} (deleted)" in texts(alone)
    assert "/edit/" not in alone
    assert f'hx-get="{url}compare/"' in marketer.get(url).content.decode()
    assert f'id="delivery-{Delivery.objects.get().pk}"' in marketer.get(f"{url}deliveries/").content.decode()
    factories.config(config.game, pixel_id="C0SECONDPIXEL0000000")
    factories.config(config.game, pixel_id="C0NEVERUSED000000000", deleted_at=timezone.now())
    beside = marketer.get(f"{url}compare/").content.decode()
    assert "No conversions of TikTok Ads clicks were eligible for C0SECONDPIXEL0000000" in texts(beside)
    assert f"{config.pixel_id} (deleted)" in texts(beside)
    assert "C0NEVERUSED" not in beside
    chosen = marketer.get(f"{url}compare/?postback={config.pk}").content.decode()
    assert "It accepted 1 of 1 eligible conversion" in texts(chosen)


def test_the_value_in_a_currency_leads_to_its_rows(config: PostbackConfig, viewer: Client) -> None:
    now = timezone.now()
    rows = {
        currency: bought(config, now, "delivered", conversion={"value": Decimal(value), "currency": currency})
        for value, currency in (("9.99", "USD"), ("1500", "JPY"))
    }
    page = viewer.get(f"/g/{config.game.slug}/integrations/tiktok/compare/").content.decode()
    for currency, row in rows.items():
        href = re.search(rf'data-sum="[\d.]+" href="([^"]+currency={currency}[^"]*)"', page)
        assert href is not None
        listed = viewer.get(href[1].replace("&amp;", "&")).content.decode()
        assert re.findall(r'id="delivery-([0-9a-f-]{36})"', listed) == [str(row.pk)]
        assert f"Value sent ({currency})" in listed


def test_what_was_sent_of_an_erased_player_stays_in_the_numbers_and_in_the_list(
    config: PostbackConfig, viewer: Client
) -> None:
    row = bought(config, timezone.now(), "delivered")
    Delivery.objects.filter(pk=row.pk).update(conversion=None)
    url = f"/g/{config.game.slug}/integrations/tiktok/"
    assert "It accepted 1 of 1 eligible" in texts(viewer.get(f"{url}compare/").content.decode())
    listed = viewer.get(f"{url}deliveries/?only=accepted").content.decode()
    assert f'id="delivery-{row.pk}"' in listed
    assert "Erased" in listed


def test_the_list_of_a_number_shows_its_rows_with_player_value_and_answer(
    config: PostbackConfig, viewer: Client, marketer: Client
) -> None:
    row = bought(config, timezone.now(), "failed", verdict="payload", conversion={"user_id": "ada@players.example"})
    factories.attempt(row, status="failed", message="No such event for ada@players.example")
    bought(config, timezone.now(), "delivered")
    url = f"/g/{config.game.slug}/integrations/tiktok/deliveries/?only=refused"
    shown = texts(viewer.get(url).content.decode())
    assert "Purchase 9.99 USD a…@players.example Failed No such event for a…@players.example" in shown
    assert "ada@players.example" in marketer.get(url).content.decode()
    assert len(re.findall(r'id="delivery-', viewer.get(url).content.decode())) == 1
    assert len(re.findall(r'id="delivery-', viewer.get(url.replace("refused", "odd")).content.decode())) == 2


def test_an_unknown_postback_and_one_of_another_game_are_not_found(
    config: PostbackConfig, other_game: Game, viewer: Client
) -> None:
    url = f"/g/{config.game.slug}/integrations/tiktok/deliveries/"
    foreign = factories.config(other_game)
    for pk in (foreign.pk, "00000000-0000-4000-8000-000000000000", "odd"):
        assert viewer.get(f"{url}?postback={pk}").status_code == 404
    assert hub.member(other_game, Role.ADMIN).get(url).status_code == 404


def test_a_network_without_a_postback_names_the_next_step(game: Game, viewer: Client) -> None:
    url = f"/g/{game.slug}/integrations/reddit/"
    assert "No postbacks yet" in viewer.get(f"{url}compare/").content.decode()
    assert viewer.get(f"{url}deliveries/").headers["Location"] == f"{url}compare/"
    assert "compare" not in viewer.get(url).content.decode()


def test_the_comparison_needs_no_more_queries_for_more_rows(config: PostbackConfig, viewer: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert viewer.get(f"/g/{config.game.slug}/integrations/tiktok/compare/").status_code == 200
        return len(asked)

    bought(config, timezone.now(), "delivered")
    before = queries()
    for hours in range(0, 100, 10):
        bought(config, timezone.now() - timedelta(hours=hours), "skipped", reason="consent")
    assert queries() == before <= 12


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("Asia/Kathmandu", "2026-11-20T18:14:59"),
        ("Pacific/Chatham", "2026-11-20T10:14:59"),
        ("Australia/Eucla", "2026-11-20T15:14:59"),
    ],
)
def test_a_day_ends_at_midnight_where_the_offset_has_45_minutes(config: PostbackConfig, name: str, ends: str) -> None:
    last = datetime.fromisoformat(f"{ends}+00:00")
    for moment in (last, last + timedelta(seconds=1)):
        bought(config, moment, "delivered")
    zone = time_zones.zone_or_utc(name)
    found = compared(config, Days(date(2026, 11, 20), date(2026, 11, 21), zone))
    assert [(day.day, row.counts["accepted"]) for (day, _), row in found.by_day.items()] == [(21, 1), (20, 1)]


def test_a_midnight_that_a_clock_change_skips_begins_the_day_after_it(config: PostbackConfig) -> None:
    zone = time_zones.zone_or_utc("Africa/Cairo")  # on April 24, 2026, 00:00 is followed by 01:00
    days = Days(date(2026, 4, 23), date(2026, 4, 24), zone)
    assert days.starts[1] == datetime(2026, 4, 23, 22, tzinfo=UTC)
    for moment in (days.starts[1] - timedelta(seconds=1), days.starts[1], days.starts[2] - timedelta(seconds=1)):
        bought(config, moment, "delivered")
    found = compared(config, days)
    assert [(day.day, row.counts["accepted"]) for (day, _), row in found.by_day.items()] == [(24, 2), (23, 1)]
    assert days.starts[2] - days.starts[1] == timedelta(hours=23)


# The time zone of a postback --------------------------------------------------------------------


def test_a_new_postback_has_the_time_zone_of_the_form(game: Game, sandbox: Sandbox) -> None:
    accounts = factories.ACCOUNTS["tiktok"]
    proposed = ProposedSettings(
        network="tiktok",
        pixel_id=accounts.pixel,
        triggers=["purchase"],
        credential=accounts.stored_credential(),
        time_zone="Asia/Tokyo",
    )
    check = credentials.request_check(game=game, proposed=proposed, requested_by=None)
    credentials.run_check(check_id=str(check.pk))
    assert PostbackConfig.objects.get().time_zone == "Asia/Tokyo"


def test_a_change_of_the_time_zone_needs_no_check_and_is_in_the_audit_log(config: PostbackConfig) -> None:
    proposed = ProposedSettings.of(config, time_zone="America/New_York")
    assert lifecycle.change(config=config, proposed=proposed, changed_by=None) is None
    config.refresh_from_db()
    assert (config.time_zone, config.version) == ("America/New_York", 2)
    assert config.versions.get(number=2).change == "Time zone changed"
    changes = LogEntry.objects.get_for_object(config).order_by("-pk")[0].changes
    assert changes["time_zone"] == ["UTC", "America/New_York"]
    assert not CredentialCheck.objects.exists()
    lifecycle.change(config=config, proposed=proposed, changed_by=None)
    config.refresh_from_db()
    assert config.version == 2


@pytest.mark.parametrize(
    ("posted", "stored"), [("Asia/Tokyo", "Asia/Tokyo"), ("", "Europe/Berlin"), (None, "Europe/Berlin")]
)
def test_the_form_keeps_the_stored_time_zone_if_none_is_posted(posted: str | None, stored: str) -> None:
    data = {"pixel_id": factories.PIXELS["tiktok"], "triggers": ["purchase"]}
    data |= {} if posted is None else {"time_zone": posted}
    initial = {"time_zone": "Europe/Berlin"}
    form = PostbackForm(data, network=NETWORKS["tiktok"], editing=True, initial=initial)
    assert form.is_valid(), form.errors
    assert form.proposed().time_zone == stored


def test_the_form_refuses_a_time_zone_that_does_not_exist() -> None:
    data = {"pixel_id": factories.PIXELS["tiktok"], "triggers": ["purchase"], "time_zone": "Mars/Olympus"}
    form = PostbackForm(data, network=NETWORKS["tiktok"], editing=True)
    assert list(form.errors) == ["time_zone"]


def test_a_stored_time_zone_that_this_computer_does_not_know_counts_as_utc(
    config: PostbackConfig, viewer: Client
) -> None:
    PostbackConfig.objects.update(time_zone="Mars/Olympus")
    bought(config, timezone.now(), "delivered")
    page = texts(viewer.get(f"/g/{config.game.slug}/integrations/tiktok/compare/").content.decode())
    assert "It accepted 1 of 1" in page
    assert "(UTC)" in page


def test_no_row_is_lost_at_the_end_of_a_day_in_any_time_zone(config: PostbackConfig) -> None:
    at = [NOW - timedelta(hours=hours) for hours in range(0, 72, 5)]
    for moment in at:
        bought(config, moment, "delivered")
    assert Conversion.objects.count() == len(at)
    for name in ("UTC", "Asia/Kathmandu", "Pacific/Auckland", "America/St_Johns"):
        found = compared(config, last_days(7, time_zones.zone_or_utc(name), now=NOW))
        assert found.total.counts["accepted"] == len(at)
        assert sum(row.counts["accepted"] for row in found.by_day.values()) == len(at)
