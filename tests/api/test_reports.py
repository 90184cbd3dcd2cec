"""Reports of the management API: they have the figures of the pages, and their CSV is that of the pages."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from audience.digest.active_quarters import RETENTION_DAYS
from audience.models import ExchangeRate, Game, GoalEvent, Role, Scope
from audience.storage import rollups
from postbacks.models import AdCost, PostbackConfig
from postbacks.reporting.campaigns import refresh
from postbacks.reporting.campaigns.definitions import REVENUE_DAYS
from postbacks.reporting.comparison import COLUMNS
from postbacks.reporting.figure_registry import FIGURES
from tests import factories, hub
from tests.management_api import Api, game_api, problem_of
from tests.postbacks.test_campaigns_page import at, player, table
from tests.postbacks.test_comparison import bought
from tests.postbacks.test_conversions_page import counts, one_of_every_status
from tests.postbacks.test_overview import batch
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def report(api: Api, game: Game, name: str, **query: Any) -> Any:
    response = api.get(f"games/{game.slug}/reports/{name}?{urlencode(query)}")
    assert response.status_code == 200, response.content
    return response.json()


def csv_of(api: Api, game: Game, name: str, **query: Any) -> tuple[str, str]:
    """(content, file name) of a report as CSV."""
    response = api.get(f"games/{game.slug}/reports/{name}?{urlencode(query)}", accept="text/csv")
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return b"".join(response.streaming_content).decode(), response["Content-Disposition"]


def page_csv(client: Client, path: str) -> tuple[str, str]:
    response = client.get(path)
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode(), response["Content-Disposition"]


@pytest.fixture
def viewer(game: Game) -> Client:
    return hub.member(game, Role.VIEWER)


@pytest.fixture
def traffic(game: Game) -> None:
    """Campaigns of two networks, with revenue in two currencies and costs of one."""
    autumn = {"utm_campaign": "autumn", "utm_term": "broad", "utm_content": "video"}
    player(game, "ada", paid="10 USD", **autumn)
    player(game, "bob", paid="20 EUR", **autumn)
    player(game, "cem", **autumn)
    player(game, "dora", network="reddit", paid="5 USD", utm_campaign="spring")
    player(game, "early", days_ago=40, utm_campaign="autumn")
    ExchangeRate.objects.create(game=game, currency="EUR", rate=Decimal("1.5"))
    AdCost.objects.create(
        game=game, day=at(5).date(), network="tiktok", campaign="autumn", spend=Decimal("2.5"), currency="USD"
    )
    refresh.refresh()


def test_the_funnel_has_the_numbers_of_the_page(game: Game, viewer: Client) -> None:
    one_of_every_status(factories.config(game))
    for query in ({}, {"network": "tiktok"}, {"click": "google"}, {"event": "purchase"}):
        found = report(game_api(game), game, "funnel", **query)
        shown = counts(viewer.get(f"/g/{game.slug}/conversions/", {**query, "range": "7d"}).content.decode())
        steps = found["steps"]
        numbers = {step["key"]: step["count"] for step in steps}
        numbers |= {row["key"]: row["count"] for step in steps for row in step["lost"]}
        assert numbers == shown, query
    assert [step["key"] for step in found["steps"]] == ["seen", "conversions", "attributed", "eligible", "delivered"]
    assert set(found["definitions"]) <= set(FIGURES)
    assert found["definitions"]["attributed"]["label"] == "Attributed to a click"
    assert found["counted_from"] == found["since"]


def test_each_number_of_the_funnel_is_that_of_its_list(game: Game) -> None:
    one_of_every_status(factories.config(game))
    api = game_api(game)
    found = report(api, game, "funnel")
    lost = [row for step in found["steps"] for row in step["lost"]]
    for row in [*found["steps"][1:], *lost]:
        listed = api.get(f"games/{game.slug}/conversions?limit=200&only={row['key']}").json()["results"]
        assert len(listed) == row["count"], row["key"]
    assert len(lost) > 20


def test_sums_of_the_funnel_are_money_and_name_what_they_leave_out(game: Game) -> None:
    factories.conversion(factories.person(game))
    factories.conversion(factories.person(game), properties={"value": 3, "currency": "JPY"})
    factories.conversion(factories.person(game), properties={"value": 3})
    step = report(game_api(game), game, "funnel")["steps"][1]
    assert step["count"] == 3
    assert step["values"] == [{"amount": "3", "currency": "JPY"}, {"amount": "9.99", "currency": "USD"}]
    assert step["without_value"] == [{"problem": "no_currency", "text": "no currency", "count": 1}]


def test_the_overview_has_the_figures_of_the_page(game: Game, viewer: Client) -> None:
    config = factories.config(game)
    now = timezone.now()
    for state in ("delivered", "failed", "waiting"):
        bought(config, now - timedelta(minutes=20), state)
    factories.conversion(factories.person(game))
    batch(game, now - timedelta(minutes=20), accepted=7, rejected=2)
    rollups.roll_up(now=timezone.now())
    refresh.refresh()
    found = report(game_api(game), game, "overview")
    assert found["revenue"] == {
        "amount": {"amount": "29.97", "currency": "USD"},
        "before": {"amount": "0.00", "currency": "USD"},
        "originals": [{"amount": "29.97", "currency": "USD"}],
        "missing": [],
    }
    assert (found["sent"], found["network_accepted"]) == ({"count": 2, "before": 0}, {"count": 1, "before": 0})
    assert (found["events_accepted"], found["events_rejected"]) == (7, 2)
    assert (found["conversions"]["count"], found["attributed"]) == (4, 3)
    assert [(row["network"], row["count"]) for row in found["clicks"]] == [("", 1), ("tiktok", 3)]
    tiktok = next(row for row in found["networks"] if row["network"] == "tiktok")
    assert {name: tiktok[name] for name in ("sent", "network_accepted", "failed", "waiting", "success_rate")} == {
        "sent": 2,
        "network_accepted": 1,
        "failed": 1,
        "waiting": 1,
        "success_rate": "50%",
    }
    html = viewer.get(f"/g/{game.slug}/").content.decode()
    assert "29.97" in html
    assert set(found["definitions"]) <= set(FIGURES)
    since, until = (datetime.fromisoformat(found[name]) for name in ("since", "until"))
    assert until - since == timedelta(hours=24)


def test_the_period_of_the_overview_is_rounded_to_quarter_hours(game: Game) -> None:
    query = {"from": "2026-11-20T08:07:10Z", "to": "2026-11-20T10:31:00+02:00"}
    found = report(game_api(game), game, "overview", **query)
    assert (found["since"], found["until"]) == ("2026-11-20T08:00:00Z", "2026-11-20T08:45:00Z")
    day = report(game_api(game), game, "overview", **{"from": "2026-11-20", "to": "2026-11-20", "zone": "Asia/Tokyo"})
    assert (day["since"], day["until"]) == ("2026-11-19T15:00:00Z", "2026-11-20T15:00:00Z")


def test_campaigns_have_the_figures_and_keys_of_the_page(game: Game, viewer: Client, traffic: None) -> None:
    found = report(game_api(game), game, "campaigns")
    assert found["currency"] == "USD"
    assert [row["names"] for row in found["rows"]] == [
        {"network": "tiktok", "campaign": "autumn"},
        {"network": "reddit", "campaign": "spring"},
    ]
    first = found["rows"][0]["figures"]
    assert {name: first[name] for name in ("clicks", "players", "launches", "payers", "purchases", "sent")} == {
        "clicks": 3,
        "players": 3,
        "launches": 3,
        "payers": 2,
        "purchases": 2,
        "sent": 0,
    }
    assert first["revenue"] == {"amount": "40.00", "currency": "USD"}
    assert first["spend"] == {"amount": "2.50", "currency": "USD"}
    assert first["per_click"] == {"amount": "0.83", "currency": "USD"}
    assert first["roas_0"] == 0.0
    assert found["rows"][0]["revenue_originals"] == [
        {"amount": "20.00", "currency": "EUR"},
        {"amount": "10.00", "currency": "USD"},
    ]
    assert (found["rows"][0]["days_with_cost"], found["rows"][0]["before"]) == (1, None)
    keys = [column["key"] for column in found["columns"]]
    content, _ = csv_of(game_api(game), game, "campaigns")
    assert content.splitlines()[0].split(",")[2 : 2 + len(keys)] == keys
    # The page has the total as its first row.
    assert len(table(viewer, f"/g/{game.slug}/campaigns/")) == 1 + found["row_count"] == 3


def test_campaigns_are_narrowed_ordered_and_compared(game: Game, traffic: None) -> None:
    api = game_api(game)
    assert [row["names"]["ad"] for row in report(api, game, "campaigns", by="ad")["rows"]] == ["video", ""]
    narrowed = report(api, game, "campaigns", network="tiktok", campaign="autumn")
    assert [row["names"]["ad_group"] for row in narrowed["rows"]] == ["broad"]
    ascending = report(api, game, "campaigns", sort="name")
    assert [row["names"]["network"] for row in ascending["rows"]] == ["reddit", "tiktok"]
    found = report(api, game, "campaigns", q="SPRI")
    assert [row["names"]["campaign"] for row in found["rows"]] == ["spring"]
    days = {"from": at(10).date().isoformat(), "to": at(0).date().isoformat(), "compare": "true"}
    compared = report(api, game, "campaigns", **days)
    assert compared["rows"][0]["before"]["clicks"] == 0
    assert (compared["first_day"], compared["last_day"], compared["time_zone"]) == (days["from"], days["to"], "UTC")
    zone = report(api, game, "campaigns", zone="Asia/Tokyo")
    assert zone["time_zone"] == "Asia/Tokyo"


def test_rows_of_campaigns_are_read_in_parts(game: Game) -> None:
    for number in range(5):
        player(game, f"player-{number}", utm_campaign=f"campaign-{number}")
    refresh.refresh()
    api = game_api(game)
    first = report(api, game, "campaigns", limit=3)
    second = report(api, game, "campaigns", limit=3, cursor=first["next_cursor"])
    assert [len(page["rows"]) for page in (first, second)] == [3, 2]
    assert (second["next_cursor"], first["row_count"], first["total"]["figures"]["clicks"]) == (None, 5, 5)


def test_the_csv_of_campaigns_is_the_export_of_the_page(game: Game, viewer: Client, traffic: None) -> None:
    day = {"from": at(10).date().isoformat(), "to": at(0).date().isoformat()}
    queries = ({}, {"by": "ad", "compare": "true"}, {"network": "tiktok", "sort": "revenue", "dir": "asc"}, day)
    for query in queries:
        of_page = {name: "1" if value == "true" else value for name, value in query.items()}
        path = f"/g/{game.slug}/campaigns/export/?{urlencode(of_page)}"
        assert csv_of(game_api(game), game, "campaigns", **query) == page_csv(viewer, path), query


def test_cohorts_have_retention_and_revenue_like_on_the_page(game: Game, viewer: Client, traffic: None) -> None:
    found = report(game_api(game), game, "cohorts")
    assert found["time_zone"] == "UTC"
    assert [(row["day"], row["players"]) for row in found["rows"]] == [(at(5).date().isoformat(), 4)]
    row = found["rows"][0]
    assert [item["days"] for item in row["retention"]] == list(RETENTION_DAYS)
    assert [item["days"] for item in row["revenue"]] == list(REVENUE_DAYS)
    assert row["retention"][-1] == {"days": 30, "players": None, "share": None}
    assert row["revenue"][0] == {"days": 0, "per_player": {"amount": "0.00", "currency": "USD"}}
    assert row["revenue"][1]["per_player"] == {"amount": "11.25", "currency": "USD"}
    assert row["revenue"][-1]["per_player"] is None
    assert found["total"]["players"] == 4
    html = viewer.get(f"/g/{game.slug}/campaigns/cohorts/").content.decode()
    assert "11.25" in html
    assert f'href="/g/{game.slug}/campaigns/cohorts/export/"' in html
    reddit = report(game_api(game), game, "cohorts", network="reddit")
    assert reddit["total"]["players"] == 1


def test_the_csv_of_cohorts_is_the_export_of_the_page(game: Game, viewer: Client, traffic: None) -> None:
    for query in ({}, {"network": "tiktok", "campaign": "autumn"}):
        found = csv_of(game_api(game), game, "cohorts", **query)
        assert found == page_csv(viewer, f"/g/{game.slug}/campaigns/cohorts/export/?{urlencode(query)}")
    header, row = found[0].splitlines()
    assert header == (
        "day,players,active_1,retention_1,active_7,retention_7,active_30,retention_30,"
        "revenue_per_player_0,revenue_per_player_1,revenue_per_player_7,revenue_per_player_30,revenue_per_player_90,"
        "currency,time_zone,only_network,only_campaign"
    )
    assert row == f"{at(5).date()},3,0,0.0,,,,,0,13.3333,,,,USD,UTC,tiktok,autumn"


def test_a_comparison_has_the_numbers_and_reasons_of_the_page(game: Game, viewer: Client) -> None:
    config = factories.config(game, time_zone="Asia/Tokyo")
    now = datetime.now(UTC)
    bought(config, now - timedelta(hours=30), "delivered")
    bought(config, now - timedelta(hours=30), "skipped", reason="consent")
    bought(config, now - timedelta(hours=30), "failed", verdict="payload")
    found = report(game_api(game), game, "compare", network="tiktok")
    assert found["postback"] == {
        "postback_id": str(config.pk),
        "network": "tiktok",
        "pixel_id": config.pixel_id,
        "is_deleted": False,
    }
    assert found["time_zone"] == "Asia/Tokyo"
    assert {name: found["total"][f"postback_{name}"] for name in COLUMNS} == {
        "eligible": 3,
        "sent": 2,
        "accepted": 1,
        "confirmed": 0,
        "refused": 1,
    }
    assert found["total"]["postback_valued"] == [{"amount": "9.99", "currency": "USD"}]
    assert found["postback_missing"] == 2
    assert [(row["key"], row["count"], row["is_missing"]) for row in found["findings"]] == [
        ("consent", 1, True),
        ("refused", 1, True),
    ]
    html = viewer.get(f"/g/{game.slug}/integrations/tiktok/compare/").content.decode().replace("&#x27;", "'")
    for row in found["findings"]:
        assert row["text"] in html
        assert row["next_step"] in html
    assert [(row["event"], row["postback_eligible"]) for row in found["by_event"]] == [("purchase", 3)]
    (day,) = found["by_day"]
    assert (day["event_label"], day["postback_accepted"]) == ("Purchase", 1)
    assert set(found["definitions"]) <= set(FIGURES)


def test_the_csv_of_a_comparison_is_the_export_of_the_page(game: Game, viewer: Client) -> None:
    config = factories.config(game)
    yesterday = datetime.now(UTC) - timedelta(hours=30)
    bought(config, yesterday, "delivered")
    bought(config, yesterday, "failed", verdict="payload", conversion={"trigger": "ada@studio.example"})
    other = factories.config(game, pixel_id="C0SECONDPIXEL0000000")
    for query in ({}, {"postback": str(other.pk)}, {"from": "2026-11-01", "to": "2026-11-02"}):
        found = csv_of(game_api(game, Role.VIEWER), game, "compare", network="tiktok", **query)
        assert found == page_csv(viewer, f"/g/{game.slug}/integrations/tiktok/compare/export/?{urlencode(query)}")
    content, name = csv_of(game_api(game, Role.VIEWER), game, "compare", network="tiktok")
    header, *rows = content.splitlines()
    assert header == "day,event,eligible,sent,accepted,confirmed,refused,value_USD,network,pixel,time_zone"
    assert rows == [
        f"{yesterday.date()},a…@studio.example,1,1,0,0,1,,tiktok,{config.pixel_id},UTC",
        f"{yesterday.date()},purchase,1,1,1,0,0,9.99,tiktok,{config.pixel_id},UTC",
    ]
    assert re.search(r'filename="comparison-tiktok-\d{4}-\d\d-\d\d-\d{4}-\d\d-\d\d.csv"', name)
    page = viewer.get(f"/g/{game.slug}/integrations/tiktok/compare/").content.decode()
    assert f'href="/g/{game.slug}/integrations/tiktok/compare/export/"' in page


def test_a_network_without_a_postback_and_another_games_postback_are_not_found(game: Game, other_game: Game) -> None:
    api, theirs = game_api(game), factories.config(other_game)
    mine: PostbackConfig = factories.config(game, network="reddit")
    problem_of(api.get(f"games/{game.slug}/reports/compare?network=tiktok"), 404)
    for pk in (theirs.pk, uuid4(), mine.pk):
        problem_of(api.get(f"games/{game.slug}/reports/compare?network=tiktok&postback={pk}"), 404)
    problem_of(api.get(f"games/{other_game.slug}/reports/funnel"), 404)
    problem_of(api.get(f"games/{game.slug}/reports/nothing"), 404)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("funnel?network=myspace", "network"),
        ("funnel?from=x", "from"),
        ("funnel?only=failed", "only"),
        ("overview?zone=Mars", "zone"),
        ("overview?from=2026-11-21&to=2026-11-20", "from"),
        ("campaigns?by=country", "by"),
        ("campaigns?network=tiktok&campaign=a&by=network", "by"),
        ("campaigns?campaign=a", "campaign"),
        ("campaigns?network=tiktok&ad=a", "ad"),
        ("campaigns?from=2020-01-01&to=2026-11-01", "from"),
        ("campaigns?from=1999-01-01", "from"),
        ("campaigns?from=2026-11-01T08:00:00Z", "from"),
        ("campaigns?cursor=MTI", "cursor"),
        ("campaigns?cursor=cm93OngzMQ", "cursor"),
        ("campaigns?limit=0", "limit"),
        ("campaigns?q=%00", "q"),
        ("cohorts?zone=UTC", "zone"),
        ("cohorts?to=2026-13-01", "to"),
        ("compare", "network"),
        ("compare?network=tiktok&postback=1", "postback"),
    ],
)
def test_a_parameter_that_is_not_understood_is_named(game: Game, path: str, field: str) -> None:
    factories.config(game)
    problem = problem_of(game_api(game).get(f"games/{game.slug}/reports/{path}"), 400)
    assert [error["field"] for error in problem["errors"]] == [field]


def test_a_comparison_covers_at_most_a_quarter(game: Game) -> None:
    factories.config(game)
    path = f"games/{game.slug}/reports/compare?network=tiktok&from=2026-01-01&to=2026-11-01"
    assert problem_of(game_api(game).get(path), 400)["errors"][0] == {
        "field": "from",
        "code": "invalid",
        "message": "A report covers at most 92 days.",
    }


def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(game: Game) -> None:
    config, api = factories.config(game), game_api(game)
    GoalEvent.objects.create(game=game, name="vip_reached")
    names = {"funnel": {}, "overview": {}, "campaigns": {}, "cohorts": {}, "compare": {"network": "tiktok"}}
    bought(config, at(1), "delivered")
    # Until noon, yesterday's failures are among those of the last 24 hours.
    bought(config, at(1), "failed", verdict="payload")
    player(game, "first", utm_campaign="first")
    refresh.refresh()
    report(api, game, "funnel")
    few = {name: queries_of(lambda n=name, q=query: report(api, game, n, **q)) for name, query in names.items()}
    for number in range(8):
        bought(config, at(1), "failed", verdict="payload")
        player(game, f"player-{number}", utm_campaign=f"campaign-{number}")
    refresh.refresh()
    many = {name: queries_of(lambda n=name, q=query: report(api, game, n, **q)) for name, query in names.items()}
    assert many == few


def test_reading_requires_the_scope_read_or_postbacks(game: Game) -> None:
    factories.config(game)
    for scope in Scope:
        api = game_api(game, Role.VIEWER, scopes=(scope,))
        for path in ("funnel", "overview", "campaigns", "cohorts", "compare?network=tiktok"):
            response = api.get(f"games/{game.slug}/reports/{path}")
            assert response.status_code == (200 if scope in (Scope.READ, Scope.POSTBACKS) else 403), path
