"""Health, what needs attention, alerts, and webhooks."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audience.accounts.audit_log import entries
from audience.models import Batch, FailedWork, Game, Queue, Role, Scope
from postbacks.models import Alert, AlertChoice, AlertHook, Notice
from tests import factories
from tests.management_api import Api, game_api, member_api, problem_of
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def base(game: Game) -> str:
    return f"games/{game.slug}"


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game)


def test_the_health_of_each_postback_and_what_needs_attention_are_those_of_the_pages(
    api: Api, game: Game, base: str
) -> None:
    factories.config(factories.game(), held_at=NOW, held_for="token")
    fine = factories.config(game)
    held = factories.config(game, network="reddit", held_at=NOW, held_for="token", held_message="Reddit refused it.")
    found = api.get(f"{base}/health").json()
    by_postback = {row["postback"]: row for row in found["postbacks"]}
    assert set(by_postback) == {str(fine.pk), str(held.pk)}
    assert (by_postback[str(fine.pk)]["state"], by_postback[str(fine.pk)]["health"]["health"]) == ("active", "quiet")
    bad = by_postback[str(held.pk)]["health"]
    assert (bad["health"], bad["label"], bad["cause"]) == ("on_hold", "On hold", "Reddit refused it.")
    ours = [item for item in found["attention"] if not item["is_server_wide"]]
    assert [(item["severity"], item["title"], item["subject"]) for item in ours] == [("error", "On hold", str(held))]
    assert ours[0]["page"].endswith(f"/g/{game.slug}/integrations/reddit/")
    assert ours[0]["next_step"] == bad["next_step"]


def test_work_that_was_set_aside_is_retried_by_an_admin(game: Game, base: str) -> None:
    work = FailedWork.objects.create(
        game=game, queue=Queue.FAN_OUT, row="1", error="broken", attempts=8, set_aside_at=NOW, next_attempt_at=NOW
    )
    api = game_api(game)
    (item,) = [item for item in api.get(f"{base}/health").json()["attention"] if item["queue"]]
    assert (item["title"], item["queue"]) == ("Set aside", "fan_out")
    problem_of(game_api(game, Role.MARKETER).post(f"{base}/health/retry", {"queue": item["queue"]}), 403)
    assert problem_of(api.post(f"{base}/health/retry", {"queue": "odd"}), 400)["errors"][0]["field"] == "queue"
    work.refresh_from_db()
    assert work.set_aside_at is not None
    assert api.post(f"{base}/health/retry", {"queue": item["queue"]}).json() == {"retried": 1}
    work.refresh_from_db()
    assert work.set_aside_at is None
    assert api.post(f"{base}/health/retry", {"queue": "digest"}).json() == {"retried": 0}
    assert not Batch.objects.exists()


def test_alerts_are_listed_by_the_time_at_which_they_were_on(api: Api, game: Game, base: str) -> None:
    config = factories.config(game)
    old = Alert.objects.create(
        game=game,
        config=config,
        health="degraded",
        opened_at=NOW - timedelta(days=5),
        recovered_at=NOW - timedelta(days=4),
        ending="recovered",
    )
    new = Alert.objects.create(game=game, config=config, health="on_hold", cause="No.", opened_at=NOW)
    theirs = factories.config(factories.game())
    Alert.objects.create(game=theirs.game, config=theirs, health="on_hold")

    def listed(query: str) -> list[str]:
        return [row["id"] for row in api.get(f"{base}/alerts?{query}").json()["results"]]

    assert listed("") == [str(new.pk), str(old.pk)]
    day = f"{old.opened_at:%Y-%m-%d}"
    assert listed(f"from={day}&to={day}") == [str(old.pk)]
    assert listed(f"from={NOW:%Y-%m-%d}") == [str(new.pk)]
    first = api.get(f"{base}/alerts?limit=1").json()
    assert api.get(f"{base}/alerts?cursor={first['next_cursor']}").json()["results"][0]["id"] == str(old.pk)
    assert first["results"][0] == {
        "id": str(new.pk),
        "postback": str(config.pk),
        "network": "tiktok",
        "pixel_id": config.pixel_id,
        "health": "on_hold",
        "cause": "No.",
        "next_step": "",
        "opened_at": first["results"][0]["opened_at"],
        "recovered_at": None,
        "ending": None,
    }
    one = queries_of(lambda: api.get(f"{base}/alerts?limit=1"))
    assert queries_of(lambda: api.get(f"{base}/alerts")) == one
    for query in ("limit=0", "cursor=abc", "from=x", "since=1"):
        problem_of(api.get(f"{base}/alerts?{query}"), 400)


def test_a_member_chooses_how_alerts_are_received_and_a_game_has_no_choice(game: Game, base: str) -> None:
    api = member_api(game, Role.VIEWER)
    assert api.get(f"{base}/alert-choice").json() == {"frequency": "never"}
    assert api.put(f"{base}/alert-choice", {"frequency": "daily"}).json() == {"frequency": "daily"}
    assert AlertChoice.objects.get().told == "daily"
    problem_of(api.put(f"{base}/alert-choice", {"frequency": "hourly"}), 400)
    problem_of(game_api(game).put(f"{base}/alert-choice", {"frequency": "daily"}), 409)
    problem_of(game_api(game, scopes=(Scope.READ,)).put(f"{base}/alert-choice", {"frequency": "never"}), 403)
    assert AlertChoice.objects.get().told == "daily"


def test_a_webhook_is_created_with_a_secret_that_is_shown_once(api: Api, game: Game, base: str) -> None:
    made = api.post(f"{base}/alert-hooks", {"url": "https://hooks.studio.example/x?key=1"})
    assert made.status_code == 201
    hook = made.json()
    secret = hook.pop("secret")
    assert AlertHook.objects.get().secret["key"] == secret
    assert hook == api.get(f"{base}/alert-hooks/{hook['id']}").json()
    assert (hook["host"], hook["url"], hook["enabled"]) == (
        "hooks.studio.example",
        "https://hooks.studio.example/x?key=1",
        True,
    )
    assert api.post(f"{base}/alert-hooks/{hook['id']}/disable").json()["enabled"] is False
    assert api.post(f"{base}/alert-hooks/{hook['id']}/enable").json()["enabled"] is True
    assert api.delete(f"{base}/alert-hooks/{hook['id']}").status_code == 204
    assert not AlertHook.objects.exists()
    found = entries(game).filter(content_type__model="alerthook")
    assert found.count() == 4
    assert secret not in str([entry.changes for entry in found])


def test_a_webhook_that_cannot_be_called_or_exists_is_refused(api: Api, base: str) -> None:
    for url, beginning in {
        "https://127.0.0.1/": "This URL cannot be called: ",
        "ftp://hooks.studio.example/": "This URL cannot be called: ",
        "https://hooks.studio.example/" + "x" * 500: "Ensure this field has no more than 500 characters.",
    }.items():
        (error,) = problem_of(api.post(f"{base}/alert-hooks", {"url": url}), 400)["errors"]
        assert error["field"] == "url"
        assert error["message"].startswith(beginning)
    assert not AlertHook.objects.exists()
    api.post(f"{base}/alert-hooks", {"url": "https://hooks.studio.example/"})
    problem_of(api.post(f"{base}/alert-hooks", {"url": "https://hooks.studio.example/"}), 400)
    assert AlertHook.objects.count() == 1


def test_a_test_message_is_queued_and_listed(api: Api, game: Game, base: str) -> None:
    hook = AlertHook.objects.create(game=game, url="https://hooks.studio.example/", secret={"key": "whsec_1"})
    queued = api.post(f"{base}/alert-hooks/{hook.pk}/test")
    assert (queued.status_code, queued.json()["kind"], queued.json()["state"]) == (202, "test", "waiting")
    Notice.objects.update(state="sent", message="It answered 200.")
    (message,) = api.get(f"{base}/alert-hooks/{hook.pk}/messages").json()["results"]
    assert (message["id"], message["label"], message["message"]) == (queued.json()["id"], "Test", "It answered 200.")


def test_the_urls_of_webhooks_are_for_admins_and_another_tenants_do_not_exist(api: Api, game: Game, base: str) -> None:
    theirs = AlertHook.objects.create(game=factories.game(), url="https://hooks.other.example/", secret={"key": "1"})
    hook = AlertHook.objects.create(game=game, url="https://hooks.studio.example/key", secret={"key": "2"})
    (row,) = game_api(game, Role.MARKETER).get(f"{base}/alert-hooks").json()["results"]
    assert (row["id"], row["host"], row["url"]) == (hook.pk, "hooks.studio.example", None)
    for method, suffix in (("GET", ""), ("DELETE", ""), ("GET", "/messages"), ("POST", "/disable"), ("POST", "/test")):
        problem_of(api.send(method, f"{base}/alert-hooks/{theirs.pk}{suffix}"), 404)
        if method != "GET":
            problem_of(game_api(game, Role.MARKETER).send(method, f"{base}/alert-hooks/{hook.pk}{suffix}"), 403)
    problem_of(game_api(game, Role.MARKETER).post(f"{base}/alert-hooks", {"url": "https://a.example/"}), 403)
    assert set(AlertHook.objects.values_list("enabled", flat=True)) == {True}
    assert AlertHook.objects.count() == 2
    assert not Notice.objects.exists()
