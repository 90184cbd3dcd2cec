"""The goals of a game."""

import pytest

from audience.accounts.audit_log import entries
from audience.models import Game, Role
from postbacks.models import GameGoal, PostbackConfig
from tests import factories
from tests.management_api import Api, game_api, problem_of
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

VIP = {"name": "VIP", "event": "purchase", "condition": {"property": "value", "op": "gte", "value": 100}}


@pytest.fixture
def path(game: Game) -> str:
    return f"games/{game.slug}/goals"


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game, Role.MARKETER)


def test_a_goal_is_created_changed_and_deleted(api: Api, game: Game, path: str) -> None:
    made = api.post(path, VIP)
    assert made.status_code == 201
    goal = made.json()
    assert (goal["name"], goal["event"], goal["once"], goal["version"], goal["postbacks"]) == (
        "VIP",
        "purchase",
        False,
        1,
        [],
    )
    assert goal["condition"] == {"property": "value", "op": "gte", "value": "100"}
    changed = api.patch(f"{path}/{goal['id']}", {"once": True}).json()
    assert changed["changed_postbacks"] == []
    assert (changed["goal"]["once"], changed["goal"]["version"]) == (True, 2)
    assert changed["goal"]["condition"] == goal["condition"]
    assert api.delete(f"{path}/{goal['id']}").status_code == 204
    assert not GameGoal.objects.exists()
    assert entries(game).filter(content_type__model="gamegoal").count() == 3


def test_the_postbacks_that_use_a_goal_change_with_it(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    goal = api.post(path, VIP).json()
    api.patch(f"games/{game.slug}/postbacks/{config.pk}", {"goals": [{"game_goal": goal["id"]}]})
    changed = api.patch(f"{path}/{goal['id']}", {"condition": None}).json()
    assert changed["changed_postbacks"] == [str(config.pk)]
    config.refresh_from_db()
    assert (config.goals[0]["condition"], config.version) == (None, 3)
    problem = problem_of(api.delete(f"{path}/{goal['id']}"), 409)
    assert problem["detail"] == f"Remove it from these postbacks first: {config}."
    assert api.get(path).json()["results"][0]["postbacks"] == [str(config.pk)]


def test_an_old_etag_is_refused_and_nothing_is_changed(api: Api, path: str) -> None:
    goal = api.post(path, VIP).json()
    first = api.get(f"{path}/{goal['id']}")["ETag"]
    second = api.patch(f"{path}/{goal['id']}", {"name": "Whale"}, if_match=first)
    problem_of(api.patch(f"{path}/{goal['id']}", {"name": "Other"}, if_match=first), 412)
    problem_of(api.delete(f"{path}/{goal['id']}", if_match=first), 412)
    assert GameGoal.objects.get().name == "Whale"
    assert api.delete(f"{path}/{goal['id']}", if_match=second["ETag"]).status_code == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**VIP, "event": " "}, "event"),
        ({**VIP, "event": "x" * 101}, "event"),
        ({**VIP, "name": "x" * 65}, "name"),
        ({**VIP, "condition": {"property": "value", "op": "gte", "value": "much"}}, "condition.value"),
        ({**VIP, "condition": {"property": "", "op": "exists"}}, "condition.property"),
        ({**VIP, "condition": {"property": "value", "op": "like", "value": "1"}}, "condition.op"),
        ({**VIP, "condition": {"property": "value", "op": "in", "value": [["a"]]}}, "condition.value"),
        ({**VIP, "sent_as": "Purchase"}, "sent_as"),
        ({"event": "purchase"}, "name"),
        ({"name": "VIP"}, "event"),
    ],
)
def test_an_invalid_goal_is_refused_by_its_value(api: Api, path: str, body: dict[str, object], field: str) -> None:
    assert [error["field"] for error in problem_of(api.post(path, body), 400)["errors"]] == [field]
    assert not GameGoal.objects.exists()


def test_a_second_goal_with_a_name_is_a_conflict(api: Api, path: str) -> None:
    api.post(path, VIP)
    problem = problem_of(api.post(path, VIP), 409)
    assert problem["errors"][0]["field"] == "name"
    assert GameGoal.objects.count() == 1


def test_another_tenants_goal_does_not_exist_and_a_viewer_changes_none(api: Api, game: Game, path: str) -> None:
    other = factories.game()
    goal = GameGoal.objects.create(game=other, name="Theirs", event="purchase")
    problem_of(api.get(f"{path}/{goal.pk}"), 404)
    problem_of(api.patch(f"{path}/{goal.pk}", {"name": "Mine"}), 404)
    problem_of(api.delete(f"{path}/{goal.pk}"), 404)
    problem_of(game_api(game, Role.VIEWER).post(path, VIP), 403)
    config = factories.config(game)
    body = {"goals": [{"game_goal": str(goal.pk)}]}
    problem_of(api.patch(f"games/{game.slug}/postbacks/{config.pk}", body), 400)
    assert GameGoal.objects.get().name == "Theirs"
    assert PostbackConfig.objects.get().version == 1


def test_the_number_of_queries_does_not_depend_on_the_number_of_goals(api: Api, path: str) -> None:
    api.post(path, VIP)
    one = queries_of(lambda: api.get(path))
    for number in range(5):
        api.post(path, {**VIP, "name": f"Goal {number}"})
    assert queries_of(lambda: api.get(path)) == one
