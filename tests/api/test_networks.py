"""The catalog of networks."""

import re

import pytest

from audience.models import Role, Scope
from postbacks.configs import credential_parts
from postbacks.networks import NETWORKS
from tests import factories
from tests.management_api import Api, game_api, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> Api:
    return game_api(factories.game(), Role.VIEWER, (Scope.READ,))


def test_every_network_is_listed_once_on_one_page(api: Api) -> None:
    page = api.get("networks").json()
    assert [row["kind"] for row in page["results"]] == list(NETWORKS)
    assert (page["next"], page["next_cursor"]) == (None, None)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_has_what_its_form_has(api: Api, kind: str) -> None:
    network, found = NETWORKS[kind], api.get(f"networks/{kind}").json()
    assert found["pixel"] == {
        "label": network.pixel_label,
        "help": network.pixel_help,
        "pattern": network.pixel_pattern,
    }
    parts = {part["name"]: part for part in found["credential_parts"]}
    assert [part.name for part in network.credential_fields] == list(parts)
    for part in network.credential_fields:
        assert parts[part.name]["is_secret"] == (part.kind != "plain")
        assert (parts[part.name]["required"], parts[part.name]["pattern"]) == (part.required, part.pattern)
    assert bool(found["test_code"]) == bool(network.test_code_label)
    assert bool(found["object_id"]) == bool(network.object_id)
    assert {event["name"] for event in found["standard_events"]} == set(network.standard_events)
    assert found["click_parameters"] == list(network.click_params)
    assert found["limits"]["max_age_seconds"] == network.max_age.total_seconds()
    assert found["limits"]["max_credential_part"] == credential_parts.MAX_CREDENTIAL
    assert re.fullmatch(found["pixel"]["pattern"], factories.PIXELS[kind])


def test_a_ready_made_goal_is_an_entry_of_goals(api: Api) -> None:
    goals = api.get("networks/tiktok").json()["ready_goals"]
    assert {
        "key": "level",
        "label": "Level completed",
        "event": "progression",
        "condition": {"property": "status", "op": "eq", "value": "complete"},
        "once": False,
        "sent_as": "",
    } in goals


def test_a_network_that_does_not_exist_is_not_found_and_parameters_are_refused(api: Api) -> None:
    problem_of(api.get("networks/nothing"), 404)
    assert problem_of(api.get("networks?limit=5"), 400)["errors"][0]["field"] == "limit"
    problem_of(Api("").get("networks"), 401)
    problem_of(game_api(factories.game(), scopes=(Scope.KEYS,)).get("networks"), 403)
