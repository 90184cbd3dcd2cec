"""The sections of a game's settings by the management API."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from auditlog.models import LogEntry
from django.db import connection

from audience.accounts.audit_log import entries
from audience.games import game_settings
from audience.models import ExchangeRate, Game, Role, Scope
from postbacks.hub.game_settings.forms import CLICK_NETWORKS
from postbacks.reporting.campaigns import settings as reports
from tests.audience.test_hub_events import event
from tests.management_api import game_api, member_api, problem_of

pytestmark = pytest.mark.django_db
EUR, JPY = {"currency": "EUR", "rate": "1.08"}, {"currency": "JPY", "rate": "0.0064"}
# {section: (a change, its scope)}
CHANGES: dict[str, tuple[dict[str, Any], Scope]] = {
    "reports": ({"time_zone": "Asia/Tokyo"}, Scope.POSTBACKS),
    "exchange-rates": ({"exchange_rates": [EUR]}, Scope.POSTBACKS),
    "attribution": ({"attribution_window_days": 7}, Scope.POSTBACKS),
    "ad-clicks": ({"untagged_fbclid_is_paid": False}, Scope.POSTBACKS),
    "joins": ({"joins": ["steam", "modeled"], "reward_text": "A hat", "match_hours": 24}, Scope.POSTBACKS),
    "consent": ({"strict_consent": True}, Scope.PRIVACY),
    "retention": ({"kept_days": 3650, "delete_older_events": True}, Scope.PRIVACY),
}


def path(game: Game, section: str) -> str:
    return f"games/{game.slug}/settings/{section}"


def everything(game: Game) -> tuple[Any, ...]:
    rates = dict(ExchangeRate.objects.filter(game=game).values_list("currency", "rate"))
    return (Game.objects.filter(pk=game.pk).values().get(), rates, LogEntry.objects.count())


# All sections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", CHANGES)
def test_a_section_is_read_by_all_members_and_changed_by_admins_in_the_audit_log(game: Game, section: str) -> None:
    change, scope = CHANGES[section]
    viewer = game_api(game, Role.VIEWER, (Scope.READ,))
    before = viewer.get(path(game, section))
    assert before.status_code == 200
    response = game_api(game, scopes=(scope,)).patch(path(game, section), change, if_match=before["ETag"])
    after = viewer.get(path(game, section))
    assert response.json() == after.json() != before.json()
    assert response["ETag"] == after["ETag"] != before["ETag"]
    stated = {name: value for name, value in change.items() if name != "delete_older_events"}
    assert {name: after.json()[name] for name in stated} == stated
    entry = entries(game).order_by("-pk")[0]
    assert (entry.content_type.model, entry.action, entry.actor_email) == ("game", 1, "Token “Script”")


@pytest.mark.parametrize("section", CHANGES)
def test_a_change_of_what_someone_else_changed_is_refused(game: Game, section: str) -> None:
    api, (change, _) = game_api(game), CHANGES[section]
    seen = api.get(path(game, section))["ETag"]
    assert api.patch(path(game, section), change).status_code == 200
    before = everything(game)
    assert problem_of(api.patch(path(game, section), change, if_match=seen), 412)["code"] == "changed"
    assert everything(game) == before


@pytest.mark.parametrize("section", CHANGES)
def test_a_change_requires_an_admin_the_scope_and_the_own_game(game: Game, other_game: Game, section: str) -> None:
    change, scope = CHANGES[section]
    others = tuple(one for one in Scope if one != scope)
    assert problem_of(game_api(game, scopes=others).patch(path(game, section), change), 403)["code"] == "missing_scope"
    for api in (game_api(game, Role.MARKETER), member_api(game, Role.MARKETER)):
        before = everything(game)
        assert problem_of(api.patch(path(game, section), change), 403)["code"] == "missing_role"
        assert everything(game) == before
    before = everything(other_game)
    api = game_api(game)
    problem_of(api.get(path(other_game, section)), 404)
    problem_of(api.patch(path(other_game, section), change), 404)
    assert everything(other_game)[:2] == before[:2]
    problem_of(api.post(path(game, section), change), 405)


@pytest.mark.parametrize("section", CHANGES)
def test_an_empty_change_changes_nothing(game: Game, section: str) -> None:
    api = game_api(game)
    before = api.get(path(game, section)), everything(game)
    response = api.patch(path(game, section), {})
    assert (response.json(), response["ETag"]) == (before[0].json(), before[0]["ETag"])
    assert everything(game) == before[1]


@pytest.mark.parametrize(
    ("section", "body", "field"),
    [
        ("reports", {"time_zone": "Mars/Olympus"}, "time_zone"),
        ("reports", {"time_zone": None}, "time_zone"),
        ("reports", {"reporting_currency": "XXX1"}, "reporting_currency"),
        ("reports", {"reporting_currency": "XAU", "exchange_rates": []}, "reporting_currency"),
        ("reports", {"reporting_currency": "EUR"}, "exchange_rates"),
        ("reports", {"exchange_rates": [{"currency": "EUR"}]}, "exchange_rates.0.rate"),
        ("reports", {"exchange_rates": [EUR, {"currency": "US", "rate": "1"}]}, "exchange_rates.1.currency"),
        ("exchange-rates", {"exchange_rates": [{"currency": "EUR", "rate": 1.08}]}, "exchange_rates.0.rate"),
        ("exchange-rates", {"exchange_rates": [{"currency": "EUR", "rate": "NaN"}]}, "exchange_rates.0.rate"),
        ("exchange-rates", {"exchange_rates": [{"currency": "EUR", "rate": "0.00"}]}, "exchange_rates.0"),
        ("exchange-rates", {"exchange_rates": [EUR, EUR]}, "exchange_rates.1"),
        ("exchange-rates", {"exchange_rates": [{"currency": "USD", "rate": "2"}]}, "exchange_rates.0"),
        ("exchange-rates", {"exchange_rates": [{**EUR, "note": ""}]}, "exchange_rates.0.note"),
        ("exchange-rates", {"exchange_rates": EUR}, "exchange_rates"),
        ("exchange-rates", {"exchange_rates": [EUR] * 201}, "exchange_rates"),
        ("exchange-rates", {"reporting_currency": "EUR"}, "reporting_currency"),
        ("attribution", {"attribution_window_days": 0}, "attribution_window_days"),
        ("attribution", {"attribution_window_days": "7"}, "attribution_window_days"),
        ("attribution", {"attribution_window_days": 7.5}, "attribution_window_days"),
        ("attribution", {"attribution_window_days": 1e300}, "attribution_window_days"),
        ("attribution", {"attribution_window_days": None}, "attribution_window_days"),
        ("attribution", {"network_windows": {"tiktok": 366}}, "network_windows.tiktok"),
        ("attribution", {"network_windows": {"tiktok": True}}, "network_windows.tiktok"),
        ("attribution", {"network_windows": {"myspace": 7}}, "network_windows.myspace"),
        ("attribution", {"network_windows": [7]}, "network_windows"),
        ("ad-clicks", {"untagged_fbclid_is_paid": "yes"}, "untagged_fbclid_is_paid"),
        ("joins", {"joins": ["mail"]}, "joins.0"),
        ("joins", {"reward_text": "x" * 501}, "reward_text"),
        ("joins", {"return_addresses": ["http://game.example/"]}, "return_addresses.0"),
        ("joins", {"return_addresses": ["https://game.example/?to=x"]}, "return_addresses.0"),
        ("joins", {"return_addresses": [1]}, "return_addresses.0"),
        ("joins", {"match_hours": 0}, "match_hours"),
        ("joins", {"match_hours": 25}, "match_hours"),
        ("consent", {"strict_consent": None}, "strict_consent"),
        ("consent", {"kept_days": 31}, "kept_days"),
        ("retention", {"kept_days": 30}, "kept_days"),
        ("retention", {"kept_days": 3651}, "kept_days"),
        ("retention", {"kept_days": 10**30}, "kept_days"),
    ],
)
def test_an_invalid_value_is_refused_by_its_path(game: Game, section: str, body: dict[str, Any], field: str) -> None:
    api = game_api(game)
    before = everything(game)
    problem = problem_of(api.patch(path(game, section), body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert everything(game) == before


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_with_the_same_etag_one_is_refused(game: Game) -> None:
    api, answers = game_api(game), []
    seen = api.get(path(game, "consent"))["ETag"]

    def change(body: dict[str, bool]) -> None:
        answers.append(api.patch(path(game, "consent"), body, if_match=seen).status_code)
        connection.close()

    bodies = ({"strict_consent": True}, {"limited_data_use": True})
    threads = [threading.Thread(target=change, args=[body]) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 412]
    assert sorted(api.get(path(game, "consent")).json().values()) == [False, True]


# Single sections -------------------------------------------------------------------------------------------------


def test_another_currency_comes_with_its_rates(game: Game) -> None:
    api = game_api(game)
    assert api.put(path(game, "exchange-rates"), {"exchange_rates": [EUR, JPY]}).status_code == 200
    problem = problem_of(api.patch(path(game, "reports"), {"reporting_currency": "EUR"}), 400)
    assert problem["detail"] == "Send the exchange rates in EUR too: the present ones are in another currency."
    body = {"reporting_currency": "EUR", "exchange_rates": [{"currency": "USD", "rate": "0.93"}]}
    assert api.patch(path(game, "reports"), body).json() == {"time_zone": "UTC", **body}
    assert dict(ExchangeRate.objects.values_list("currency", "rate")) == {"USD": Decimal("0.93")}
    entry = entries(game).order_by("-pk")[0]
    assert entry.changes == {
        "reporting_currency": ["USD", "EUR"],
        "exchange_rates": ["EUR 1.08, JPY 0.0064, USD none", "EUR none, JPY none, USD 0.93"],
    }


def test_rates_are_replaced_by_put_and_added_by_patch(game: Game) -> None:
    api = game_api(game)
    first = api.put(path(game, "exchange-rates"), {"exchange_rates": [EUR]})
    assert first.json() == {"reporting_currency": "USD", "exchange_rates": [EUR]}
    merged = api.patch(path(game, "exchange-rates"), {"exchange_rates": [JPY]}, if_match=first["ETag"])
    assert merged.json()["exchange_rates"] == [EUR, JPY]
    problem_of(api.put(path(game, "exchange-rates"), {"exchange_rates": []}, if_match=first["ETag"]), 412)
    assert merged["ETag"] == api.get(path(game, "reports"))["ETag"]
    assert api.put(path(game, "exchange-rates"), {"exchange_rates": [JPY]}).json()["exchange_rates"] == [JPY]
    assert reports.settings_of(game).rates == {"JPY": Decimal("0.0064")}
    problem_of(api.put(path(game, "exchange-rates"), {}), 400)
    assert reports.settings_of(game).rates == {"JPY": Decimal("0.0064")}


def test_the_window_of_a_network_is_set_kept_and_removed(game: Game) -> None:
    api = game_api(game)
    none = dict.fromkeys(CLICK_NETWORKS)
    body: dict[str, Any] = {"network_windows": {"tiktok": 7, "reddit": 14}}
    expected = {"attribution_window_days": 28, "network_windows": {**none, "tiktok": 7, "reddit": 14}}
    assert api.patch(path(game, "attribution"), body).json() == expected
    body = {"network_windows": {"tiktok": None}, "attribution_window_days": 30}
    expected = {"attribution_window_days": 30, "network_windows": {**none, "reddit": 14}}
    assert api.patch(path(game, "attribution"), body).json() == expected
    game.refresh_from_db()
    assert (game.attribution_window_days, game.network_windows) == (30, {"reddit": 14})


def test_a_retention_that_deletes_events_has_to_be_confirmed(game: Game) -> None:
    now = datetime(2026, 11, 21, 10, tzinfo=UTC)
    api = game_api(game, scopes=(Scope.PRIVACY,))
    for number, age in enumerate((10, 60, 70)):
        event(game, number + 1, received_at=now - timedelta(days=age), day=(now - timedelta(days=age)).date())
    with time_machine.travel(now, tick=True):
        before = everything(game)
        problem = problem_of(api.patch(path(game, "retention"), {"kept_days": 31}), 409)
        assert problem["code"] == "confirmation_required"
        assert problem["detail"] == (
            "This deletes 2 events of the days before 2026-10-21. Send `delete_older_events`: true to confirm."
        )
        assert everything(game) == before
        assert api.patch(path(game, "retention"), {"kept_days": 31, "delete_older_events": True}).json() == {
            "kept_days": 31
        }
        assert api.patch(path(game, "retention"), {"kept_days": 400}).json() == {"kept_days": 400}
        problem_of(api.patch(path(game, "retention"), {"kept_days": 399}), 409)
        assert api.patch(path(game, "retention"), {"kept_days": None}).json() == {"kept_days": None}


def test_the_page_and_the_api_refuse_each_others_stale_versions(game: Game) -> None:
    seen = game_settings.version(game, game_settings.CONSENT)
    game_api(game).patch(path(game, "consent"), {"strict_consent": True})
    with pytest.raises(game_settings.SettingsChanged):
        game_settings.set_consent(game=game, strict_consent=False, limited_data_use=False, seen=seen)
