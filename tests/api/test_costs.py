"""Costs of campaigns in the management API, and deleting them in the Hub."""

from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from audience.accounts.audit_log import entries
from audience.models import Game, Role, Scope
from postbacks.models import AdCost, CostUpload
from postbacks.reporting.campaigns import refresh
from tests import hub
from tests.management_api import Api, game_api, member_api, problem_of, user_api
from tests.postbacks.test_campaigns_page import at, player
from tests.postbacks.test_costs import HEADER, stored

pytestmark = pytest.mark.django_db

ROW = {"date": "2026-11-01", "network": "tiktok", "campaign": "autumn", "spend": "120.50", "currency": "USD"}
NOVEMBER = {"from": "2026-11-01", "to": "2026-11-30"}


def upload(api: Api, game: Game, text: str | bytes, **query: str) -> Any:
    content = text if isinstance(text, bytes) else text.encode()
    return api.send("POST", f"games/{game.slug}/costs?{urlencode(query)}", content, content_type="text/csv")


def listed(api: Api, game: Game, **query: Any) -> list[str]:
    response = api.get(f"games/{game.slug}/costs?{urlencode({**NOVEMBER, **query})}")
    assert response.status_code == 200, response.content
    return [f"{row['date']} {row['campaign']}" for row in response.json()["results"]]


def test_a_file_is_stored_as_on_the_page(game: Game) -> None:
    text = HEADER + '2026-11-01,TikTok Ads,autumn,"1,120.50",usd,310,"20,400"\n02.11.2026,reddit,spring,80,EUR,,\n'
    response = upload(game_api(game), game, text, name="november.csv")
    assert response.status_code == 201
    row = CostUpload.objects.get()
    assert response.json() == {
        "id": row.pk,
        "name": "november.csv",
        "rows": 2,
        "replaced": 0,
        "first_day": "2026-11-01",
        "last_day": "2026-11-02",
        "uploaded_by": "Token “Script”",
        "uploaded_at": response.json()["uploaded_at"],
    }
    assert stored() == [
        (date(2026, 11, 1), "tiktok", "autumn", Decimal("1120.5"), "USD", 310, 20400),
        (date(2026, 11, 2), "reddit", "spring", Decimal(80), "EUR", None, None),
    ]
    (entry,) = entries(game).filter(content_type__model="costupload")
    assert (entry.get_action_display(), entry.actor_email) == ("create", "Token “Script”")
    again = upload(game_api(game), game, HEADER + "2026-11-01,tiktok,autumn,5,USD,,\n").json()
    assert (again["name"], again["replaced"]) == ("API", 1)


def test_rows_are_stored_as_json(game: Game) -> None:
    user = hub.user("ada", is_superuser=True)
    rows = [ROW, {**ROW, "network": "Reddit Ads", "spend": 80, "clicks": 3, "impressions": None, "campaign_id": "77"}]
    response = user_api(user).post(f"games/{game.slug}/costs", {"rows": rows, "name": "BI"})
    assert (response.status_code, response.json()["rows"], response.json()["uploaded_by"]) == (201, 2, "ada")
    assert stored() == [
        (date(2026, 11, 1), "reddit", "autumn", Decimal(80), "USD", 3, None),
        (date(2026, 11, 1), "tiktok", "autumn", Decimal("120.5"), "USD", None, None),
    ]
    assert AdCost.objects.get(network="reddit").campaign_id == "77"


def test_a_small_amount_with_three_decimal_places_is_stored_as_it_is(game: Game) -> None:
    game_api(game).post(f"games/{game.slug}/costs", {"rows": [{**ROW, "spend": "1.234"}]})
    assert AdCost.objects.get().spend == Decimal("1.234")


def test_lines_that_cannot_be_read_are_named_and_nothing_is_stored(game: Game) -> None:
    text = HEADER + "2026-11-01,tiktok,autumn,1,USD,,\nyesterday,tiktok,autumn,1,USD,,\n2026-11-01,nobody,a,1,USD,,\n"
    problem = problem_of(upload(game_api(game), game, text), 400)
    assert [(error["field"], error["message"][:40]) for error in problem["errors"]] == [
        ("line 3", "yesterday is not a date such as 2026-11-"),
        ("line 4", "nobody is not a network. Use one of amaz"),
    ]
    assert problem["detail"] == "2 values of the request are not valid."
    rows = [ROW, {**ROW, "network": "nobody"}, {**ROW, "currency": "XXX1"[:3]}, ROW]
    problem = problem_of(game_api(game).post(f"games/{game.slug}/costs", {"rows": rows}), 400)
    assert {error["field"] for error in problem["errors"]} >= {"rows.1", "rows.3"}
    assert stored() == []
    assert not CostUpload.objects.exists()
    assert not entries(game).filter(content_type__model="costupload").exists()


def test_the_errors_of_a_file_are_limited(game: Game) -> None:
    text = HEADER + "yesterday,tiktok,autumn,1,USD,,\n" * 60
    problem = problem_of(upload(game_api(game), game, text), 400)
    assert len(problem["errors"]) == 51
    assert problem["errors"][-1]["message"] == "Nothing was saved: 60 of 60 lines have errors."


def test_a_file_without_a_column_is_refused_unless_the_query_states_it(game: Game) -> None:
    text = "date,campaign,spend\n2026-11-01,autumn,1\n"
    problem = problem_of(upload(game_api(game), game, text), 400)
    assert [error["field"] for error in problem["errors"]] == ["network", "currency"]
    assert upload(game_api(game), game, text, network="tiktok", currency="USD").status_code == 201
    assert len(stored()) == 1


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"date", "The file needs a line with the column names, and one line per day and campaign."),
        (b"\xff\xfe\xfd\xfc\xfb", "The file is not in UTF-8. Save it as “CSV UTF-8”."),
        (b"\xe4\xf6", "The file is not in UTF-8. Save it as “CSV UTF-8”."),
        (HEADER.encode() + b"total,,total,1,USD,,\n", "Nothing was saved: the file has only lines with totals."),
    ],
)
def test_a_file_that_is_no_list_of_costs_is_refused(game: Game, content: bytes, detail: str) -> None:
    response = upload(game_api(game), game, content)
    assert problem_of(response, 400)["detail"] == detail
    assert stored() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "rows"),
        ({"rows": []}, "rows"),
        ({"rows": [{**ROW, "date": "1 Nov"}]}, "rows.0.date"),
        ({"rows": [{**ROW, "spend": -1}]}, "rows.0.spend"),
        ({"rows": [{**ROW, "spend": "NaN"}]}, "rows.0.spend"),
        ({"rows": [{**ROW, "spend": 10**30}]}, "rows.0.spend"),
        ({"rows": [{**ROW, "clicks": "3"}]}, "rows.0.clicks"),
        ({"rows": [{**ROW, "clicks": 10**30}]}, "rows.0.clicks"),
        ({"rows": [{**ROW, "clicks": 10**16}]}, "rows.0"),
        ({"rows": [{**ROW, "game": "other"}]}, "rows.0.game"),
        ({"rows": [{**ROW, "campaign": "x" * 201}]}, "rows.0.campaign"),
        ({"rows": [ROW] * 1_001}, "rows"),
        ({"rows": ["x"]}, "rows.0"),
    ],
)
def test_a_body_that_is_not_valid_stores_nothing(game: Game, body: Any, field: str) -> None:
    problem = problem_of(game_api(game).post(f"games/{game.slug}/costs", body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert stored() == []


def test_costs_are_listed_by_day_in_stable_pages(game: Game, other_game: Game) -> None:
    api = game_api(game)
    text = HEADER + "".join(f"2026-11-{day:02},tiktok,autumn,1,USD,,\n" for day in range(1, 6))
    upload(api, game, text + "2026-11-05,reddit,spring,0.5,JPY,,\n")
    upload(game_api(other_game), other_game, HEADER + "2026-11-05,tiktok,theirs,1,USD,,\n")
    assert listed(api, game) == [
        "2026-11-05 spring",
        *(f"2026-11-{day:02} autumn" for day in (5, 4, 3, 2, 1)),
    ]
    first = api.get(f"games/{game.slug}/costs?{urlencode({**NOVEMBER, 'limit': 3})}").json()
    assert first["results"][0] == {
        "date": "2026-11-05",
        "network": "reddit",
        "campaign": "spring",
        "campaign_id": "",
        "spend": {"amount": "0", "currency": "JPY"},
        "clicks": None,
        "impressions": None,
    }
    upload(api, game, HEADER + "2026-11-06,tiktok,autumn,1,USD,,\n")
    second = listed(api, game, limit=3, cursor=first["next_cursor"])
    assert second == [f"2026-11-{day:02} autumn" for day in (3, 2, 1)]
    assert listed(api, game, network="reddit") == listed(api, game, campaign="spring") == ["2026-11-05 spring"]
    assert listed(api, game, **{"from": "2026-11-02", "to": "2026-11-02"}) == ["2026-11-02 autumn"]


def test_uploads_and_gaps_are_those_of_the_page(game: Game) -> None:
    player(game, "ada", utm_campaign="autumn")
    refresh.refresh()
    api = game_api(game)
    upload(api, game, HEADER + f"{at(5).date()},tiktok,Autum,1.5,USD,,\n", name="wrong.csv")
    (row,) = api.get(f"games/{game.slug}/costs/uploads").json()["results"]
    assert (row["name"], row["uploaded_by"]) == ("wrong.csv", "Token “Script”")
    viewer = game_api(game, Role.VIEWER).get(f"games/{game.slug}/costs/uploads").json()
    assert viewer["results"][0]["uploaded_by"] == ""
    day = at(5).date().isoformat()
    assert api.get(f"games/{game.slug}/costs/gaps").json() == {
        "unmatched": [
            {
                "network": "tiktok",
                "campaign": "Autum",
                "first_day": day,
                "last_day": day,
                "spend": [{"amount": "1.50", "currency": "USD"}],
            }
        ],
        "without_cost": [{"network": "tiktok", "campaign": "autumn", "clicks": 1}],
    }


def test_costs_of_days_are_deleted_with_an_entry_in_the_audit_log(game: Game, other_game: Game) -> None:
    api = game_api(game)
    text = HEADER + "2026-11-01,tiktok,a,1,USD,,\n2026-11-02,tiktok,a,1,USD,,\n2026-11-02,reddit,a,1,USD,,\n"
    upload(api, game, text)
    upload(game_api(other_game), other_game, text)
    path = f"games/{game.slug}/costs"
    query = urlencode({"from": "2026-11-02", "to": "2026-11-30", "network": "tiktok"})
    assert api.delete(f"{path}?{query}").json() == {"deleted": 1}
    assert api.delete(f"{path}?{query}").json() == {"deleted": 0}
    assert sorted(row[:2] for row in stored()) == [
        (date(2026, 11, 1), "tiktok"),
        (date(2026, 11, 1), "tiktok"),
        (date(2026, 11, 2), "reddit"),
        (date(2026, 11, 2), "reddit"),
        (date(2026, 11, 2), "tiktok"),
    ]
    (entry,) = entries(game).filter(content_type__model="game", changes__has_key="costs")
    assert entry.changes == {"costs": ["1 line of TikTok Ads, 2026-11-02 to 2026-11-30", "None"]}
    assert api.delete(f"{path}?{urlencode(NOVEMBER)}").json() == {"deleted": 2}
    assert AdCost.objects.filter(game=other_game).count() == 3
    assert CostUpload.objects.filter(game=game).count() == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("to=2026-11-01", "from"),
        ("from=2026-11-01", "to"),
        ("from=2026-11-02&to=2026-11-01", "to"),
        ("from=2026-11-01&to=2026-11-02&network=nobody", "network"),
        ("from=2026-11-01&to=2026-11-02&campaign=autumn", "campaign"),
    ],
)
def test_a_range_that_is_not_complete_deletes_nothing(game: Game, query: str, field: str) -> None:
    upload(game_api(game), game, HEADER + "2026-11-01,tiktok,a,1,USD,,\n")
    problem = problem_of(game_api(game).delete(f"games/{game.slug}/costs?{query}"), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert len(stored()) == 1


def test_changes_require_a_marketer_and_the_scope_postbacks(game: Game, other_game: Game) -> None:
    query = urlencode(NOVEMBER)
    for api in (game_api(game, Role.VIEWER), member_api(game, Role.VIEWER)):
        assert problem_of(api.post(f"games/{game.slug}/costs", {"rows": [ROW]}), 403)["code"] == "missing_role"
        assert problem_of(api.delete(f"games/{game.slug}/costs?{query}"), 403)["code"] == "missing_role"
    reader = game_api(game, scopes=(Scope.READ,))
    assert problem_of(reader.post(f"games/{game.slug}/costs", {"rows": [ROW]}), 403)["code"] == "missing_scope"
    assert reader.get(f"games/{game.slug}/costs").status_code == 200
    problem_of(game_api(game).get(f"games/{other_game.slug}/costs"), 404)
    assert game_api(game, Role.MARKETER).post(f"games/{game.slug}/costs", {"rows": [ROW]}).status_code == 201
    assert len(stored()) == 1


def test_the_page_shows_what_is_deleted_before_it_is(game: Game) -> None:
    marketer = hub.member(game, Role.MARKETER)
    upload(game_api(game), game, HEADER + "2026-11-01,tiktok,a,1,USD,,\n2026-11-02,reddit,a,1,USD,,\n")
    url = f"/g/{game.slug}/campaigns/costs/"
    costs = marketer.get(url).content.decode()
    assert f"{url}delete/?first=2026-11-01&amp;last=2026-11-02" in costs
    question = marketer.get(f"{url}delete/?first=2026-11-01&last=2026-11-02").content.decode()
    assert "Delete 2 lines" in question
    assert "Show what is deleted" in marketer.get(f"{url}delete/").content.decode()
    assert (
        "The last day is before the first day."
        in marketer.get(f"{url}delete/?first=2026-11-02&last=2026-11-01").content.decode()
    )
    assert (
        "There are no costs of these days."
        in marketer.get(f"{url}delete/?first=2026-12-02&last=2026-12-03").content.decode()
    )
    assert len(stored()) == 2
    form = {"first": "2026-11-01", "last": "2026-11-02", "network": "reddit"}
    page = marketer.post(f"{url}delete/", form, follow=True).content.decode()
    assert "1 line was deleted." in page
    assert [row[1] for row in stored()] == ["tiktok"]
    (entry,) = entries(game).filter(content_type__model="game", changes__has_key="costs")
    assert entry.actor.username == f"marketer-of-{game.slug}"
