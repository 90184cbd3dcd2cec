"""Trying a postback by the API: previews, dry runs, test conversions, copied settings, and requests of templates."""

from typing import Any

import pytest

from audience.database.encryption import encrypt
from audience.models import Conversion, Game, Role
from postbacks.configs import credentials
from postbacks.models import CredentialCheck, Delivery, PostbackConfig
from postbacks.networks.custom.imitation import ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.management_api import Api, game_api, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(game: Game) -> str:
    return f"games/{game.slug}/postbacks"


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game, Role.MARKETER)


def purchase(game: Game) -> Conversion:
    player = factories.person(game)
    return factories.conversion(player, touch=factories.touch(player, click_id="E.C.P.1234567890abcdefghijklmn"))


def test_the_stored_settings_are_previewed_with_the_newest_conversion_or_a_given_one(
    api: Api, game: Game, path: str
) -> None:
    config = factories.config(game)
    assert api.get(f"{path}/{config.pk}/preview").json() == {"preview": None, "request": None}
    first, second = purchase(game), purchase(game)
    found = api.get(f"{path}/{config.pk}/preview").json()["preview"]
    assert found["conversion"] in (str(first.pk), str(second.pk))
    chosen = api.get(f"{path}/{config.pk}/preview?conversion={first.pk}").json()["preview"]
    assert (chosen["conversion"], chosen["level"], chosen["reason"], chosen["problem"]) == (
        str(first.pk),
        "full",
        None,
        "",
    )
    assert chosen["body"]["data"][0]["event"] == "Purchase"
    value = next(fact for fact in chosen["facts"] if fact["label"] == "Value")
    assert (value["state"], value["value"]) == ("filled", "9.99")
    other = purchase(factories.game())
    problem = problem_of(api.get(f"{path}/{config.pk}/preview?conversion={other.pk}"), 400)
    assert problem["errors"][0]["field"] == "conversion"
    assert not Delivery.objects.exists()


def test_a_viewer_sees_only_the_beginnings_of_personal_values(game: Game, path: str) -> None:
    config, conversion = factories.config(game), purchase(game)
    bodies = [
        game_api(game, role).get(f"{path}/{config.pk}/preview?conversion={conversion.pk}").json()["preview"]["body"]
        for role in (Role.VIEWER, Role.MARKETER)
    ]
    assert "E.C.P.1234567890abcdefghijklmn" not in str(bodies[0])
    assert "E.C.P.1234567890abcdefghijklmn" in str(bodies[1])


def test_settings_that_are_not_stored_are_previewed(api: Api, game: Game, path: str) -> None:
    conversion = purchase(game)
    goals = [{"event": "purchase", "sent_as": "Subscribe"}]
    body = {"network": "tiktok", "triggers": [], "goals": goals, "conversion": str(conversion.pk)}
    found = api.post(f"{path}/preview", body).json()
    assert found["preview"]["body"]["data"][0]["event"] == "Subscribe"
    assert found["request"] is None
    assert not PostbackConfig.objects.exists()
    problem = problem_of(api.post(f"{path}/preview", {**body, "goals": [{"event": ""}]}), 400)
    assert problem["errors"][0]["field"] == "goals.0.event"
    assert problem_of(api.post(f"{path}/preview", {}), 400)["errors"][0]["field"] == "network"


def test_the_request_of_templates_is_previewed_without_secrets(api: Api, game: Game, path: str) -> None:
    credential = {**ACCOUNTS.credential, "url": "https://partner.example/p?c={click_id}&s={secret}", "token": "canary"}
    body = {"network": "custom", "credential": credential, "pixel_id": "impact"}
    made = api.post(f"{path}/preview", body).json()["request"]
    assert made["url"].startswith("https://partner.example/p?c=")
    assert "canary" not in str(made)
    assert made["problems"] == []
    wrong = api.post(f"{path}/preview", {**body, "credential": {**credential, "url": "http://[::1]/"}}).json()
    assert wrong["request"]["problems"][0].startswith("URL: ")


def test_a_stored_secret_is_not_sent_to_another_host(api: Api, game: Game, path: str) -> None:
    stored = {**ACCOUNTS.stored_credential(), "url": "https://partner.example/p?c={click_id}", "token": "canary"}
    config = factories.config(game, network="custom", credential=stored)
    body = {"credential": {"url": "https://other.example/p?c={click_id}"}}
    problem = problem_of(api.patch(f"{path}/{config.pk}", body), 400)
    moved = {error["field"]: error["message"] for error in problem["errors"]}
    assert moved["credential.token"] == "Enter the secret again: the stored value is for partner.example."
    assert not CredentialCheck.objects.exists()


def test_a_custom_postback_is_created_with_its_parts(api: Api, game: Game, path: str, sandbox: Sandbox) -> None:
    body = {
        "network": "custom",
        "pixel_id": ACCOUNTS.pixel,
        "credential": dict(ACCOUNTS.credential),
        "triggers": ["purchase"],
    }
    check = api.post(path, body).json()["check"]
    credentials.run_check(check_id=check["id"])
    found = api.get(path).json()["results"][0]
    parts = {part["name"]: part for part in found["credential"]}
    assert parts["url"]["value"] == ACCOUNTS.credential["url"]
    assert found["click_parameters"] == list(PostbackConfig.objects.get().click_parameters)
    optional = api.patch(f"{path}/{found['id']}", {"credential": {"success_statuses": ""}})
    assert optional.status_code == 202


def test_a_dry_run_counts_the_conversions_of_the_week_and_stores_nothing(api: Api, game: Game, path: str) -> None:
    config = factories.config(game, triggers=["purchase"])
    purchase(game)
    factories.conversion(factories.person(game))
    stored = api.get(f"{path}/{config.pk}/dry-run").json()
    assert (stored["considered"], stored["sent"], stored["not_sent"], stored["sent_before"]) == (2, 1, 1, None)
    assert [(row["reason"], row["count"], row["before"]) for row in stored["reasons"]] == [("no_click", 1, None)]
    body: dict[str, Any] = {"postback": str(config.pk), "triggers": ["game_launch"]}
    changed = api.post(f"{path}/dry-run", body).json()
    assert (changed["sent"], changed["sent_before"]) == (0, 1)
    new = api.post(f"{path}/dry-run", {"network": "reddit", "goals": [{"event": "level_complete"}]}).json()
    assert (new["sent"], new["new_events"]) == (0, [{"event": "level_complete", "count": 0, "at_least": False}])
    problem = problem_of(api.post(f"{path}/dry-run", {**body, "network": "meta"}), 400)
    assert problem["errors"][0]["field"] == "network"
    config.refresh_from_db()
    assert (config.triggers, config.version, Delivery.objects.count()) == (["purchase"], 1, 0)


def test_a_test_conversion_is_sent_to_the_test_view(api: Api, game: Game, path: str, sandbox: Sandbox) -> None:
    config = factories.config(game)
    problem = problem_of(api.post(f"{path}/{config.pk}/test", {"trigger": "purchase"}), 400)
    assert problem["errors"][0]["field"] == "test_code"
    check = api.post(f"{path}/{config.pk}/test", {"trigger": "purchase", "test_code": "TEST-1"}).json()["check"]
    assert (check["purpose"], check["state"]) == ("test", "pending")
    credentials.run_check(check_id=check["id"], encrypted_test_code=encrypt("TEST-1"))
    (request,) = sandbox.received("tiktok", test=True)
    assert (request["body"]["test_event_code"], request["body"]["data"][0]["event"]) == ("TEST-1", "Purchase")
    assert "TEST-1" not in api.get(f"games/{game.slug}/checks/{check['id']}").content.decode()


def test_settings_are_copied_for_another_network(api: Api, game: Game, path: str) -> None:
    goal = {"event": "sign_up", "sent_as": "CompleteRegistration", "once": True, "condition": None}
    config = factories.config(game, triggers=["purchase"], goals=[goal])
    copied = api.get(f"{path}/{config.pk}/copy?network=reddit").json()
    assert (copied["network"], copied["triggers"], copied["enabled"]) == ("reddit", ["purchase"], True)
    assert [(goal["event"], goal["sent_as"]) for goal in copied["goals"]] == [("sign_up", "SIGN_UP")]
    assert copied["notes"][0].startswith("The credential")
    assert problem_of(api.get(f"{path}/{config.pk}/copy"), 400)["errors"][0]["field"] == "network"
