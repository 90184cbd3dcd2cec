"""Steam's own numbers in the management API."""

from datetime import date
from typing import Any
from urllib.parse import urlencode

import pytest

from audience.accounts.audit_log import entries
from audience.models import Game, Role, Scope
from postbacks.models import SteamUpload, SteamVisits
from tests.management_api import Api, game_api, member_api, problem_of
from tests.postbacks.test_steam_numbers import DAILY, HEADER, stored

pytestmark = pytest.mark.django_db
NOVEMBER = {"from": "2026-11-01", "to": "2026-11-30"}


def upload(api: Api, game: Game, text: str | bytes, **query: str) -> Any:
    content = text if isinstance(text, bytes) else text.encode()
    return api.send("POST", f"games/{game.slug}/steam-numbers?{urlencode(query)}", content, content_type="text/csv")


def listed(api: Api, game: Game, **query: Any) -> list[tuple[str, str]]:
    response = api.get(f"games/{game.slug}/steam-numbers?{urlencode({**NOVEMBER, **query})}")
    assert response.status_code == 200, response.content
    return [(row["date"], row["campaign"]) for row in response.json()["results"]]


def test_a_file_is_stored_as_on_the_page(game: Game) -> None:
    response = upload(game_api(game), game, DAILY.read_bytes(), name="november.csv")
    assert response.status_code == 201, response.content
    assert response.json() == {
        "id": SteamUpload.objects.get().pk,
        "name": "november.csv",
        "rows": 4,
        "replaced": 0,
        "first_day": "2026-11-01",
        "last_day": "2026-11-02",
        "uploaded_by": "Token “Script”",
        "uploaded_at": response.json()["uploaded_at"],
    }
    assert stored()[0] == (date(2026, 11, 1), "Autumn", "tiktok", 1570, 522, 208, 48, 9, 1)
    (entry,) = entries(game).filter(content_type__model="steamupload")
    assert (entry.get_action_display(), entry.actor_email) == ("create", "Token “Script”")
    again = upload(game_api(game), game, HEADER + "2026-11-02,winter,reddit,5,1\n").json()
    assert (again["name"], again["rows"], again["replaced"]) == ("API", 1, 3)


def test_lines_that_cannot_be_read_are_named_and_nothing_is_stored(game: Game) -> None:
    text = HEADER + "2026-11-01,a,b,1,0\nyesterday,a,b,1,0\n2026-11-01,a,b,1.5,0\n"
    problem = problem_of(upload(game_api(game), game, text), 400)
    assert [(error["field"], error["message"]) for error in problem["errors"]] == [
        ("line 3", "yesterday is not a date such as 2026-11-01."),
        ("line 4", "1.5 is not a number of visits."),
    ]
    assert problem_of(upload(game_api(game), game, "a,b\n1,2\n"), 400)["detail"].startswith("The file has no columns")
    assert (stored(), SteamUpload.objects.count()) == ([], 0)
    assert not entries(game).filter(content_type__model="steamupload").exists()


def test_a_body_that_is_no_csv_is_refused(game: Game) -> None:
    problem_of(game_api(game).post(f"games/{game.slug}/steam-numbers", {"rows": []}), 415)
    assert stored() == []


def test_rows_are_listed_by_day_in_stable_pages(game: Game, other_game: Game) -> None:
    api = game_api(game)
    upload(api, game, HEADER + "".join(f"2026-11-{day:02},autumn,tiktok,{day},0\n" for day in range(1, 6)))
    upload(game_api(other_game), other_game, HEADER + "2026-11-05,theirs,tiktok,1,0\n")
    assert listed(api, game) == [(f"2026-11-{day:02}", "autumn") for day in (5, 4, 3, 2, 1)]
    first = api.get(f"games/{game.slug}/steam-numbers?{urlencode({**NOVEMBER, 'limit': 3})}").json()
    assert first["results"][0] == {
        "date": "2026-11-05",
        "campaign": "autumn",
        "source": "tiktok",
        "medium": "",
        "content": "",
        "term": "",
        "visits": 5,
        "trusted_visits": None,
        "tracked_visits": None,
        "wishlists": 0,
        "purchases": None,
        "activations": None,
    }
    upload(api, game, HEADER + "2026-11-06,spring,tiktok,1,0\n")
    assert listed(api, game, limit=3, cursor=first["next_cursor"]) == [
        ("2026-11-02", "autumn"),
        ("2026-11-01", "autumn"),
    ]
    assert listed(api, game, campaign="spring") == [("2026-11-06", "spring")]
    (newest, _) = api.get(f"games/{game.slug}/steam-numbers/uploads").json()["results"]
    assert (newest["rows"], newest["uploaded_by"]) == (1, "Token “Script”")
    viewer = game_api(game, Role.VIEWER).get(f"games/{game.slug}/steam-numbers/uploads").json()
    assert viewer["results"][0]["uploaded_by"] == ""


def test_rows_of_days_are_deleted_with_an_entry_in_the_audit_log(game: Game, other_game: Game) -> None:
    api, path = game_api(game), f"games/{game.slug}/steam-numbers"
    for one, of in ((api, game), (game_api(other_game), other_game)):
        upload(one, of, DAILY.read_bytes())
    query = urlencode({"from": "2026-11-02", "to": "2026-11-30"})
    assert api.delete(f"{path}?{query}").json() == {"deleted": 3}
    assert api.delete(f"{path}?{query}").json() == {"deleted": 0}
    assert SteamVisits.objects.filter(game=game).count() == 1
    assert SteamVisits.objects.filter(game=other_game).count() == 4
    (entry,) = entries(game).filter(content_type__model="game", changes__has_key="steam_numbers")
    assert entry.changes == {"steam_numbers": ["3 lines, 2026-11-02 to 2026-11-30", "None"]}
    for wrong, field in (("to=2026-11-01", "from"), ("from=2026-11-02&to=2026-11-01", "to"), (f"{query}&x=1", "x")):
        assert [one["field"] for one in problem_of(api.delete(f"{path}?{wrong}"), 400)["errors"]] == [field]
    assert SteamVisits.objects.filter(game=game).count() == 1


def test_changes_require_a_marketer_and_the_scope_postbacks(game: Game, other_game: Game) -> None:
    for api in (game_api(game, Role.VIEWER), member_api(game, Role.VIEWER)):
        assert problem_of(upload(api, game, DAILY.read_bytes()), 403)["code"] == "missing_role"
        delete = api.delete(f"games/{game.slug}/steam-numbers?{urlencode(NOVEMBER)}")
        assert problem_of(delete, 403)["code"] == "missing_role"
    reader = game_api(game, scopes=(Scope.READ,))
    assert problem_of(upload(reader, game, DAILY.read_bytes()), 403)["code"] == "missing_scope"
    assert reader.get(f"games/{game.slug}/steam-numbers").status_code == 200
    problem_of(game_api(game).get(f"games/{other_game.slug}/steam-numbers"), 404)
    assert stored() == []
