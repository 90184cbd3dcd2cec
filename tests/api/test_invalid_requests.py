"""Requests with values that no operation takes: what is answered, and how large the answer is."""

import base64
import time
from typing import Any
from urllib.parse import quote

import pytest

from audience.api.toolkit.problems import MAX_ERRORS, MAX_FIELD_LENGTH
from audience.api.toolkit.serializers import MAX_UNKNOWN_FIELDS
from audience.hub.toolkit.paging import parse_cursor
from audience.models import ApiKey, Game, Role, Scope
from tests import factories
from tests.management_api import game_api, problem_of

pytestmark = pytest.mark.django_db

# The error that stands for the unknown fields that are not named.
UNNAMED = ("", "more_unknown_fields")
# PostgreSQL refuses offsets of 16 hours and more; datetime.fromisoformat accepts them.
FAR_OFFSET = "2026-01-01T00:00:00+23:59"


def cursor(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def test_the_limits_of_an_answer_with_errors() -> None:
    assert (MAX_UNKNOWN_FIELDS, MAX_ERRORS, MAX_FIELD_LENGTH) == (20, 100, 200)


def test_of_many_unknown_fields_some_are_named_and_the_others_counted(game: Game) -> None:
    """A body of 5 MB with unknown fields must not make an answer of 54 MB."""
    api = game_api(game, Role.VIEWER, (Scope.READ,))
    response = api.post(f"games/{game.slug}/validate", {f"{number:x}": 1 for number in range(20_000)})
    problem = problem_of(response, 400)
    found = [(error["field"], error["code"]) for error in problem["errors"]]
    assert found == [("body", "required"), *((f"{number:x}", "unknown_field") for number in range(20)), UNNAMED]
    assert problem["errors"][-1]["message"] == "19,980 more fields do not exist."
    assert problem["detail"] == "More than 21 values of the request are not valid."
    assert len(response.content) < 5_000


def test_all_unknown_fields_are_named_up_to_the_limit(game: Game) -> None:
    body = {"name": "Key", **{f"x{number}": 1 for number in range(20)}}
    problem = problem_of(game_api(game).post(f"games/{game.slug}/keys", body), 400)
    assert [error["field"] for error in problem["errors"]] == [f"x{number}" for number in range(20)]
    assert not ApiKey.objects.exists()


def test_of_many_errors_the_first_are_listed(game: Game) -> None:
    body = {"name": "Key", "allowed_events": [1] * 50, "allowed_origins": ["x"] * 50, "allowed_addresses": ["x"] * 50}
    body |= {f"x{number}": 1 for number in range(9)}
    problem = problem_of(game_api(game).post(f"games/{game.slug}/keys", body), 400)
    assert len(problem["errors"]) == MAX_ERRORS
    assert problem["detail"] == "More than 99 values of the request are not valid."
    assert not ApiKey.objects.exists()


def test_a_long_name_or_value_is_not_repeated_as_a_whole(game: Game) -> None:
    body = {"x" * 100_000: 1, "kind": "y" * 100_000, "name": "Key"}
    response = game_api(game).post(f"games/{game.slug}/keys", body)
    (kind, unknown) = problem_of(response, 400)["errors"]
    assert (unknown["field"], kind["field"]) == ("x" * 200, "kind")
    assert len(response.content) < 5_000
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    "name", ["keys", "members", "attempts", "deliveries", "conversions", "people", "replays", "alerts", "audit-log"]
)
def test_a_cursor_with_a_far_offset_is_read_or_refused(game: Game, name: str) -> None:
    for pk in ("5", "0d4a2b1c-6f7e-4c8d-9b10-11a2b3c4d5e6"):
        response = game_api(game).get(f"games/{game.slug}/{name}?cursor={cursor(f'{FAR_OFFSET}~{pk}')}")
        assert response.status_code in (200, 400), response.content


def test_a_cursor_is_in_utc_and_invalid_outside_of_its_years() -> None:
    start = parse_cursor(f"{FAR_OFFSET}~5", int)
    assert start is not None
    assert (start[0].isoformat(), start[1]) == ("2025-12-31T00:01:00+00:00", 5)
    assert parse_cursor("0001-01-01T00:00:00+23:59~5", int) is None
    assert parse_cursor("9999-12-31T23:59:59-23:59~5", int) is None


@pytest.mark.parametrize("name", ["attempts", "deliveries", "conversions", "reports/overview", "reports/funnel"])
def test_a_period_with_a_far_offset_is_read(game: Game, name: str) -> None:
    start, end = quote(FAR_OFFSET), quote(FAR_OFFSET.replace("01T", "02T"))
    assert game_api(game).get(f"games/{game.slug}/{name}?from={start}&to={end}").status_code == 200
    problem = problem_of(game_api(game).get(f"games/{game.slug}/{name}?from=0001-01-01T00:00:00%2B23:59"), 400)
    assert problem["errors"][0]["field"] == "from"


@pytest.mark.parametrize("name", ["keys", "members", "invitations", "tokens"])
def test_an_id_of_any_length_is_not_found(game: Game, name: str) -> None:
    problem_of(game_api(game).get(f"games/{game.slug}/{name}/{'9' * 5_000}"), 404)


@pytest.mark.parametrize("depth", [64, 260, 900])
def test_deep_json_is_refused(game: Game, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for path, body in (
        ("validate", b'{"dialect":"rudderstack","body":' + deep + b"}"),
        ("keys", b'{"name":' + deep + b"}"),
    ):
        problem = problem_of(game_api(game).post(f"games/{game.slug}/{path}", body), 400)
        assert (problem["code"], problem["detail"]) == ("malformed", "The JSON is nested deeper than 64 levels.")
    assert not ApiKey.objects.exists()


def test_json_of_64_levels_is_read(game: Game) -> None:
    body = b'{"dialect":"rudderstack","body":{"batch":[' + b"[" * 61 + b"]" * 61 + b"]}}"
    assert game_api(game).post(f"games/{game.slug}/validate", body).status_code == 200


def test_an_ad_without_a_name_can_be_stated(game: Game) -> None:
    """The document says: '' is the name of what a link does not name."""
    api, path = game_api(game), f"games/{game.slug}/reports/campaigns"
    for query in ("network=tiktok&campaign=", "network=tiktok&campaign=&ad_group="):
        response = api.get(f"{path}?{query}")
        assert response.status_code == 200, response.content
    problem = problem_of(api.get(f"{path}?network=&from="), 400)
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [("network", "blank"), ("from", "blank")]


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "limit"),
    [
        ("POST", "keys", {"name": "Web", "allowed_events": [1] * 500_000}, "allowed_events", 100),
        ("POST", "postbacks/dry-run", {"network": "tiktok", "goals": [{}] * 500_000}, "goals", 1_000),
        ("PATCH", "settings/reports", {"exchange_rates": [{}] * 500_000}, "exchange_rates", 200),
        (
            "PUT",
            "catalog/event?name=won",
            {"required_properties": {str(number): "text" for number in range(100_000)}},
            "required_properties",
            1_000,
        ),
    ],
)
def test_a_long_list_is_refused_before_its_items_are_validated(
    method: str, path: str, body: Any, field: str, limit: int
) -> None:
    game = factories.game()
    started = time.process_time()
    problem = problem_of(game_api(game).send(method, f"games/{game.slug}/{path}", body), 400)
    message = f"Ensure this field has no more than {limit} elements."
    assert problem["errors"] == [{"field": field, "code": "max_length", "message": message}]
    # Validating half a million items takes twenty seconds.
    assert time.process_time() - started < 5
