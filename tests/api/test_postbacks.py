"""Postbacks: what is returned, and creating and changing them with the rules of the form."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.accounts.audit_log import entries
from audience.database.encryption import encrypt
from audience.models import Game, Role, Scope
from postbacks.configs import credentials
from postbacks.models import ConfigVersion, CredentialCheck, Delivery, PostbackConfig
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.management_api import Api, game_api, member_api, problem_of
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

TOKEN, PIXEL = factories.TOKENS["tiktok"], factories.PIXELS["tiktok"]
NEW = {
    "network": "tiktok",
    "pixel_id": PIXEL,
    "credential": {"token": TOKEN},
    "triggers": ["purchase"],
    "goals": [{"event": "level_complete", "once": True}],
}
GOAL = {
    "event": "level_complete",
    "sent_as": "",
    "once": True,
    "condition": None,
    "server_only": False,
    "repeat_orders": False,
    "object_id": "",
    "game_goal": None,
}


@pytest.fixture
def path(game: Game) -> str:
    return f"games/{game.slug}/postbacks"


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game, Role.MARKETER)


def run(check_id: str, test_code: str = "") -> CredentialCheck:
    """Run a check as the worker does."""
    encrypted = encrypt(test_code) if test_code else ""
    credentials.run_check(check_id=check_id, encrypted_test_code=encrypted)
    return CredentialCheck.objects.get(pk=check_id)


def refusals(problem: dict[str, Any]) -> dict[str, str]:
    return {error["field"]: error["message"] for error in problem["errors"]}


def test_a_postback_is_created_when_the_network_has_accepted_it(
    api: Api, game: Game, path: str, sandbox: Sandbox
) -> None:
    started = api.post(path, NEW)
    assert started.status_code == 202
    check = started.json()["check"]
    assert (check["state"], check["purpose"], check["postback"]) == ("pending", "save", None)
    assert started["Location"].endswith(f"/api/v1/games/{game.slug}/checks/{check['id']}")
    assert not PostbackConfig.objects.exists()
    run(check["id"])
    ended = api.get(f"games/{game.slug}/checks/{check['id']}").json()
    config = PostbackConfig.objects.get()
    assert (ended["state"], ended["postback"], ended["http_status"]) == ("passed", str(config.pk), 200)
    read = api.get(f"{path}/{config.pk}").json()
    assert (read["network"], read["pixel_id"], read["triggers"]) == ("tiktok", PIXEL, ["purchase"])
    assert (read["goals"], read["enabled"], read["time_zone"], read["version"]) == ([GOAL], True, "UTC", 1)
    assert read["credential"] == [{"name": "token", "is_stored": True, "value": None}]
    assert (read["state"], read["health"]["health"]) == ("active", "quiet")
    assert TOKEN not in str(read)
    assert entries(game).filter(content_type__model="postbackconfig").count() == 1


def test_a_refused_credential_creates_nothing_and_the_check_has_the_networks_sentence(
    api: Api, game: Game, path: str, sandbox: Sandbox
) -> None:
    check = api.post(path, {**NEW, "credential": {"token": "0" * 40}}).json()["check"]
    run(check["id"])
    ended = api.get(f"games/{game.slug}/checks/{check['id']}").json()
    assert (ended["state"], ended["postback"]) == ("refused", None)
    assert "Access token is incorrect or has been revoked" in ended["message"]
    assert not PostbackConfig.objects.exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"pixel_id": "no pixel!"}, {"pixel_id": "This does not look like a TikTok Ads pixel code."}),
        ({"pixel_id": "A" * 65}, {"pixel_id": "This does not look like a TikTok Ads pixel code."}),
        ({"credential": {}}, {"credential.token": "This field is required."}),
        ({"credential": {"token": " "}}, {"credential.token": "This field is required."}),
        ({"credential": {"token": "a b"}}, {"credential.token": "This access token contains a space"}),
        ({"credential": {"token": "x" * 4097}}, {"credential.token": "This token is longer than 4096 characters."}),
        ({"credential": {"token": TOKEN, "key": "1"}}, {"credential.key": "There is no such part."}),
        ({"triggers": [], "goals": []}, {"triggers": "Select at least one trigger event."}),
        ({"triggers": ["launch"]}, {"triggers.0": '"launch" is not a valid choice.'}),
        ({"goals": [{"event": " "}]}, {"goals.0.event": "Enter the name of the event."}),
        ({"goals": [{"event": "a"}, {"event": "ö"}]}, {"goals.1.sent_as": "TikTok Ads does not accept an event"}),
        ({"goals": [{"event": "a"}, {"event": "a"}]}, {"goals.1": "Goal 2: This goal is the same as goal 1."}),
        ({"goals": [{"event": f"event_{n}"} for n in range(21)]}, {"goals": "A postback has at most 20 goals."}),
        (
            {"goals": [{"event": "a", "condition": {"property": "level", "op": "gt", "value": "high"}}]},
            {"goals.0.condition.value": "Enter a number"},
        ),
        (
            {"goals": [{"event": "a", "condition": {"property": "level", "op": "gt", "value": {}}}]},
            {"goals.0.condition.value": "This must be text, a number, true or false, or a list of these."},
        ),
        ({"goals": [{"event": "a", "once": "yes"}]}, {"goals.0.once": "This must be true or false."}),
        ({"goals": [{"event": "a", "object_id": "77"}]}, {"goals.0.object_id": "TikTok Ads does not use event IDs."}),
        (
            {"goals": [{"game_goal": "b8a4e9f0-2d35-4a36-8c53-58b1f5b40c01"}]},
            {"goals.0.game_goal": "This goal does not exist in the game."},
        ),
        ({"time_zone": "Berlin"}, {"time_zone": "This is not a time zone."}),
        ({"test_code": "x" * 129}, {"test_code": "A test code has at most 128 characters."}),
        ({"nam": 1}, {"nam": "There is no such field."}),
        ({"network": "nothing"}, {"network": '"nothing" is not a valid choice.'}),
    ],
)
def test_a_value_that_the_form_refuses_is_refused_by_its_path(
    api: Api, path: str, change: dict[str, Any], expected: dict[str, str]
) -> None:
    found = refusals(problem_of(api.post(path, {**NEW, **change}), 400))
    assert set(found) == set(expected)
    for field, beginning in expected.items():
        assert found[field].startswith(beginning)
    assert not CredentialCheck.objects.exists()


def test_wrong_values_are_named_together(api: Api, path: str) -> None:
    body = {**NEW, "pixel_id": "?", "credential": {}, "goals": [{"event": ""}], "time_zone": "nowhere"}
    found = refusals(problem_of(api.post(path, body), 400))
    assert set(found) == {"pixel_id", "credential.token", "goals.0.event", "time_zone"}


def test_a_second_postback_for_a_pixel_is_a_conflict(api: Api, game: Game, path: str) -> None:
    factories.config(game)
    problem = problem_of(api.post(path, NEW), 409)
    assert refusals(problem) == {"pixel_id": "This game already has a postback for this pixel. Edit that postback."}


def test_what_the_network_need_not_check_is_changed_at_once(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    changed = api.patch(f"{path}/{config.pk}", {"triggers": ["purchase"], "time_zone": "Asia/Tokyo"})
    assert changed.status_code == 200
    assert changed.json()["triggers"] == ["purchase"]
    config.refresh_from_db()
    assert (config.triggers, config.time_zone, config.version) == (["purchase"], "Asia/Tokyo", 2)
    assert config.credential["token"] == TOKEN
    assert not CredentialCheck.objects.exists()
    assert ConfigVersion.objects.get(config=config).change == "Trigger events changed, time zone changed"


def test_goals_can_be_sent_back_as_they_were_read(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    condition = {"property": "level", "op": "in", "value": ["1", "2"]}
    api.patch(f"{path}/{config.pk}", {"goals": [{"event": "level_complete", "condition": condition}]})
    read = api.get(f"{path}/{config.pk}").json()
    again = api.patch(f"{path}/{config.pk}", {"goals": read["goals"]}).json()
    assert again["goals"] == [{**GOAL, "once": False, "condition": condition}]
    assert again["version"] == read["version"] == 2


def test_a_change_with_an_old_etag_is_refused_and_one_with_the_present_is_not(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    first = api.get(f"{path}/{config.pk}")["ETag"]
    second = api.patch(f"{path}/{config.pk}", {"enabled": False}, if_match=first)
    assert second.status_code == 200
    assert second["ETag"] != first
    problem = problem_of(api.patch(f"{path}/{config.pk}", {"enabled": True}, if_match=first), 412)
    assert problem["code"] == "changed"
    problem_of(api.delete(f"{path}/{config.pk}", if_match=first), 412)
    config.refresh_from_db()
    assert (config.enabled, config.deleted_at) == (False, None)
    assert api.delete(f"{path}/{config.pk}", if_match=second["ETag"]).status_code == 200


def test_a_rotation_is_checked_and_can_be_rolled_back(api: Api, game: Game, path: str, sandbox: Sandbox) -> None:
    config = factories.config(game, credential={"token": "the-old-token"})
    started = api.post(f"{path}/{config.pk}/rotate", {"credential": {"token": TOKEN}})
    assert started.status_code == 202
    config.refresh_from_db()
    assert config.credential["token"] == "the-old-token"
    run(started.json()["check"]["id"])
    config.refresh_from_db()
    assert (config.credential["token"], config.version) == (TOKEN, 2)
    read = api.get(f"{path}/{config.pk}").json()
    assert read["can_roll_back_until"] is not None
    check = run(api.post(f"{path}/{config.pk}/roll-back").json()["check"]["id"])
    assert check.state == "refused"  # the imitation does not know the old one
    PostbackConfig.objects.update(previous_until=timezone.now() - timedelta(hours=1))
    problem = problem_of(api.post(f"{path}/{config.pk}/roll-back"), 409)
    assert problem["detail"].startswith("The previous credential is no longer stored.")


def test_a_rotation_needs_a_credential(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    for body in ({}, {"credential": {}}, {"credential": {"secret": "x"}}, {"credential": "x"}):
        problem_of(api.post(f"{path}/{config.pk}/rotate", body), 400)
    assert not CredentialCheck.objects.exists()


def test_pausing_answers_what_is_not_sent_and_resuming_sends_again(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    factories.delivery(config)
    paused = api.post(f"{path}/{config.pk}/pause").json()
    assert paused["unsent"] == {
        "waiting": 1,
        "held": 0,
        "sending": 0,
        "text": "1 conversion is waiting; it will not be sent.",
    }
    assert (paused["postback"]["enabled"], paused["postback"]["state"]) == (False, "disabled")
    assert api.post(f"{path}/{config.pk}/resume").json()["state"] == "active"
    changes = ConfigVersion.objects.filter(config=config).order_by("number").values_list("change", flat=True)
    assert list(changes) == ["Disabled", "Enabled"]


def test_deleting_answers_what_is_not_sent_and_removes_the_credential(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    factories.delivery(config, state="held", next_attempt_at=None)
    answer = api.delete(f"{path}/{config.pk}")
    assert (answer.status_code, answer.json()["held"]) == (200, 1)
    problem_of(api.get(f"{path}/{config.pk}"), 404)
    assert api.get(path).json()["results"] == []
    config.refresh_from_db()
    assert (config.deleted_at is not None, dict(config.credential)) == (True, {})
    history = api.get(f"{path}/{config.pk}/versions").json()["results"]
    assert [row["change"] for row in history] == ["Deleted"]


def test_postbacks_of_all_networks_are_one_list_with_filters(api: Api, game: Game, path: str) -> None:
    rows = {
        "tiktok": factories.config(game),
        "reddit": factories.config(game, network="reddit", enabled=False),
        "meta": factories.config(game, network="meta", held_at=timezone.now(), held_for="token", held_message="No."),
        "snapchat": factories.config(game, network="snapchat", suspected_at=timezone.now()),
    }
    factories.config(factories.game())

    def listed(query: str) -> list[str]:
        return [row["network"] for row in api.get(f"{path}?{query}").json()["results"]]

    assert listed("") == ["snapchat", "meta", "reddit", "tiktok"]
    assert listed("network=reddit") == ["reddit"]
    assert listed("enabled=true") == ["snapchat", "meta", "tiktok"]
    assert [listed(f"state={state}") for state in ("active", "disabled", "on_hold", "suspected")] == [
        ["tiktok"],
        ["reddit"],
        ["meta"],
        ["snapchat"],
    ]
    held = api.get(f"{path}/{rows['meta'].pk}").json()
    assert (held["state"], held["held_for"], held["message"]) == ("on_hold", "token", "No.")
    assert held["health"]["health"] == "on_hold"
    problem_of(api.get(f"{path}?state=odd"), 400)


def test_the_number_of_queries_does_not_depend_on_the_number_of_postbacks(api: Api, game: Game, path: str) -> None:
    factories.config(game)
    api.get(path)  # stores that the token was used
    one = queries_of(lambda: api.get(path))
    for number in range(5):
        factories.delivery(factories.config(game, pixel_id=f"CPIXEL00000{number}"))
    assert queries_of(lambda: api.get(path)) == one


def test_plain_parts_are_shown_from_the_role_of_a_marketer_on_and_secrets_never(game: Game, path: str) -> None:
    config = factories.config(game, network="google")
    parts = {
        role: {part["name"]: part for part in game_api(game, role).get(f"{path}/{config.pk}").json()["credential"]}
        for role in (Role.VIEWER, Role.MARKETER)
    }
    assert parts[Role.VIEWER]["contacts"] == {"name": "contacts", "is_stored": False, "value": None}
    assert parts[Role.MARKETER]["contacts"]["value"] == ""
    assert [parts[role]["token"] for role in parts] == [{"name": "token", "is_stored": True, "value": None}] * 2


def test_an_unreadable_credential_breaks_no_answer(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    PostbackConfig.objects.filter(pk=config.pk).update(credential="")
    assert api.get(path).json()["results"][0]["credential"][0]["is_stored"] is False
    assert problem_of(api.post(f"{path}/{config.pk}/check"), 400)["errors"][0]["field"] == "credential"


def test_another_tenants_postback_does_not_exist(api: Api, game: Game, path: str) -> None:
    other = factories.config(factories.game())
    for method, suffix in [
        *[("GET", suffix) for suffix in ("", "/versions", "/checks", "/preview", "/dry-run", "/copy?network=meta")],
        *[("POST", suffix) for suffix in ("/pause", "/resume", "/check", "/roll-back", "/try-now")],
        ("DELETE", ""),
    ]:
        problem_of(api.send(method, f"{path}/{other.pk}{suffix}"), 404)
    for suffix, body in (("", {}), ("/rotate", {"credential": {"token": "x"}}), ("/test", {"trigger": "purchase"})):
        problem_of(api.send("POST" if suffix else "PATCH", f"{path}/{other.pk}{suffix}", body), 404)
    body = {"postback": str(other.pk)}
    for suffix in ("preview", "dry-run"):
        assert refusals(problem_of(api.post(f"{path}/{suffix}", body), 400)).keys() == {"postback"}
    other.refresh_from_db()
    assert (other.deleted_at, other.enabled, other.version) == (None, True, 1)
    assert not CredentialCheck.objects.exists()
    problem_of(api.get(f"{path}/not-an-id"), 404)


def test_a_viewer_reads_and_changes_nothing(game: Game, path: str) -> None:
    config, api = factories.config(game), member_api(game, Role.VIEWER)
    assert api.get(f"{path}/{config.pk}").status_code == 200
    for method, suffix, body in (
        ("POST", "", NEW),
        ("PATCH", f"/{config.pk}", {"enabled": False}),
        ("DELETE", f"/{config.pk}", None),
        ("POST", f"/{config.pk}/pause", None),
        ("POST", f"/{config.pk}/rotate", {"credential": {"token": "x"}}),
        ("GET", f"/{config.pk}/dry-run", None),
    ):
        assert problem_of(api.send(method, f"{path}{suffix}", body), 403)["code"] == "missing_role"
    api = game_api(game, scopes=(Scope.READ,))
    assert problem_of(api.post(f"{path}/{config.pk}/pause"), 403)["code"] == "missing_scope"
    config.refresh_from_db()
    assert (config.enabled, config.version) == (True, 1)


def test_a_goal_of_the_game_is_used_by_its_id_alone(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    made = api.post(
        f"games/{game.slug}/goals", {"name": "VIP", "event": "purchase", "condition": None, "once": True}
    ).json()
    changed = api.patch(f"{path}/{config.pk}", {"goals": [{"game_goal": made["id"]}]}).json()
    assert changed["goals"] == [{**GOAL, "event": "purchase", "game_goal": made["id"]}]
    assert api.patch(f"{path}/{config.pk}", {"goals": changed["goals"]}).json()["version"] == 2
    problem = problem_of(
        api.patch(f"{path}/{config.pk}", {"goals": [{"game_goal": made["id"], "event": "other"}]}), 400
    )
    assert refusals(problem)["goals.0.game_goal"].startswith("The goal of the game has another definition.")
    assert api.get(f"games/{game.slug}/goals/{made['id']}").json()["postbacks"] == [str(config.pk)]


def test_waiting_deliveries_are_sent_now_or_the_refusal_is_a_conflict(api: Api, game: Game, path: str) -> None:
    config = factories.config(game)
    problem_of(api.post(f"{path}/{config.pk}/try-now"), 409)
    factories.delivery(config, next_attempt_at=timezone.now() + timedelta(hours=1))
    assert api.post(f"{path}/{config.pk}/try-now").json() == {"deliveries": 1}
    assert entries(game).order_by("-pk")[0].changes == {"deliveries": ["waiting", "sent now"]}
    assert Delivery.objects.get().next_attempt_at <= timezone.now()


def test_the_history_lists_versions_and_checks(api: Api, game: Game, path: str, sandbox: Sandbox) -> None:
    config = factories.config(game)
    run(api.post(f"{path}/{config.pk}/check").json()["check"]["id"])
    api.patch(f"{path}/{config.pk}", {"enabled": False})
    (version,) = api.get(f"{path}/{config.pk}/versions").json()["results"]
    assert (version["number"], version["change"], version["enabled"], version["set_by"]) == (2, "Disabled", False, "")
    (check,) = api.get(f"{path}/{config.pk}/checks").json()["results"]
    assert (check["purpose"], check["state"], check["postback"]) == ("release", "passed", str(config.pk))


def test_a_postback_is_put_on_hold_with_a_reason_and_released() -> None:
    game = factories.game()
    config, api = factories.config(game), game_api(game, Role.MARKETER)
    waiting = factories.delivery(config, state="waiting")
    path = f"games/{game.slug}/postbacks/{config.pk}"
    held = api.post(f"{path}/hold", {"note": "The budget is used up."}).json()
    assert held["state"] == "on_hold"
    assert "The budget is used up." in held["message"]
    waiting.refresh_from_db()
    assert waiting.state == "held"
    assert "already" in problem_of(api.post(f"{path}/hold", {}), 409)["detail"]
    assert api.post(f"{path}/release").json()["state"] == "active"
    waiting.refresh_from_db()
    assert waiting.state == "waiting"
    assert problem_of(api.post(f"{path}/release"), 409)["detail"] == "This postback is not on hold."
    assert [row["change"] for row in api.get(f"{path}/versions").json()["results"]][:2] == [
        "Released from hold",
        "Put on hold",
    ]


@pytest.mark.parametrize("of_game", [True, False])
def test_what_a_worker_saves_after_a_check_is_in_the_audit_log_with_the_token(
    game: Game, path: str, sandbox: Sandbox, of_game: bool
) -> None:
    api = game_api(game) if of_game else member_api(game, Role.ADMIN)
    run(api.post(path, NEW).json()["check"]["id"])
    rows = api.get(f"games/{game.slug}/audit-log?kind=postbackconfig").json()["results"]
    email = "" if of_game else game.memberships.get().user.email
    expected = ("Token “Script”", "") if of_game else (email, "Laptop")
    assert [(row["actor"]["name"], row["actor"]["token"]) for row in rows] == [expected]
