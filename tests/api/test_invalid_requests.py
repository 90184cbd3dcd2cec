"""Requests with values that no operation takes: what is answered, and how large the answer is."""

import pytest

from audience.api.toolkit.problems import MAX_ERRORS, MAX_FIELD_LENGTH
from audience.api.toolkit.serializers import MAX_UNKNOWN_FIELDS
from audience.models import ApiKey, Game, Role, Scope
from tests.management_api import game_api, problem_of

pytestmark = pytest.mark.django_db


def test_the_limits_of_an_answer_with_errors() -> None:
    assert (MAX_UNKNOWN_FIELDS, MAX_ERRORS, MAX_FIELD_LENGTH) == (20, 100, 200)


def test_of_many_unknown_fields_some_are_named_and_the_others_counted(game: Game) -> None:
    """A body of 5 MB with unknown fields must not make an answer of 54 MB."""
    api = game_api(game, Role.VIEWER, (Scope.READ,))
    response = api.post(f"games/{game.slug}/validate", {f"{number:x}": 1 for number in range(20_000)})
    errors = problem_of(response, 400)["errors"]
    unknown = [error for error in errors if error["code"] == "unknown_field"]
    assert [error["field"] for error in unknown] == [*(f"{number:x}" for number in range(20)), ""]
    assert unknown[-1]["message"] == "19,980 more fields do not exist."
    assert len(response.content) < 5_000


def test_all_unknown_fields_are_named_up_to_the_limit(game: Game) -> None:
    body = {"name": "Key", **{f"x{number}": 1 for number in range(20)}}
    problem = problem_of(game_api(game).post(f"games/{game.slug}/keys", body), 400)
    assert [error["field"] for error in problem["errors"]] == [f"x{number}" for number in range(20)]
    assert not ApiKey.objects.exists()


def test_of_many_errors_the_first_are_listed_and_all_counted(game: Game) -> None:
    body = {"name": "Key", "allowed_events": [1] * 50, "allowed_origins": ["x"] * 50, "allowed_addresses": ["x"] * 50}
    body |= {f"x{number}": 1 for number in range(9)}
    problem = problem_of(game_api(game).post(f"games/{game.slug}/keys", body), 400)
    assert len(problem["errors"]) == MAX_ERRORS
    assert problem["detail"].endswith(" values of the request are not valid. The first 100 are listed.")
    assert not ApiKey.objects.exists()


def test_a_long_name_or_value_is_not_repeated_as_a_whole(game: Game) -> None:
    body = {"x" * 100_000: 1, "kind": "y" * 100_000, "name": "Key"}
    response = game_api(game).post(f"games/{game.slug}/keys", body)
    (kind, unknown) = problem_of(response, 400)["errors"]
    assert (unknown["field"], kind["field"]) == ("x" * 200, "kind")
    assert len(response.content) < 5_000
    assert not ApiKey.objects.exists()
