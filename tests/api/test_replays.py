"""Replays by the API: a dry run, the start, the progress, and canceling."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.models import Game, Role, Scope
from postbacks.delivery import replays, sending
from postbacks.models import Delivery, PostbackConfig, Replay
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.management_api import Api, game_api, problem_of
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(game: Game) -> str:
    return f"games/{game.slug}/replays"


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game, Role.MARKETER)


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    return factories.config(game)


def failure(config: PostbackConfig, *, ago: timedelta = timedelta(minutes=5), **given: Any) -> Delivery:
    at = timezone.now() - ago
    fields = {
        "state": "failed",
        "verdict": "transient",
        "attempts_made": 1,
        "next_attempt_at": None,
        "first_attempt_at": at,
        "safe_until": at + timedelta(hours=47),
        "finished_at": at,
    }
    row = factories.delivery(config, **{**fields, **given})
    factories.attempt(row, started_at=at, finished_at=at, status="failed", verdict=row.verdict)
    return row


def test_a_dry_run_counts_and_stores_nothing(api: Api, path: str, config: PostbackConfig) -> None:
    failure(config)
    failure(config, ago=timedelta(hours=50))
    failure(config, verdict="payload")
    body = {"postback": str(config.pk), "verdict": "transient", "dry_run": True}
    response = api.post(path, body)
    assert response.status_code == 200
    counts = response.json()
    assert counts.pop("since") is not None
    assert counts == {
        "dry_run": True,
        "total": 2,
        "sendable": 1,
        "past_deadline": 1,
        "disabled": 0,
        "blocked": "",
    }
    assert not Replay.objects.exists()
    assert set(Delivery.objects.values_list("state", flat=True)) == {"failed"}


def test_a_replay_sends_what_failed_and_shows_its_progress(
    api: Api, path: str, config: PostbackConfig, sandbox: Sandbox
) -> None:
    for _ in range(3):
        failure(config)
    old = failure(config, ago=timedelta(hours=5))
    since = (timezone.now() - timedelta(hours=1)).isoformat()
    started = api.post(path, {"postback": str(config.pk), "failed_from": since})
    assert started.status_code == 201
    replay = started.json()
    assert (replay["state"], replay["total"], replay["verdict"]) == ("running", 3, "")
    assert replay["progress"]["remaining"] == 3
    problem = problem_of(api.post(path, {"postback": str(config.pk)}), 409)
    assert problem["detail"].startswith("A replay of this postback is running.")
    replays.advance()
    sending.drain(network="tiktok", max_in_flight=1)
    replays.advance()
    ended = api.get(f"{path}/{replay['id']}").json()
    assert (ended["state"], ended["progress"]["delivered"], ended["progress"]["remaining"]) == ("done", 3, 0)
    assert [row["id"] for row in api.get(f"{path}?state=done").json()["results"]] == [replay["id"]]
    assert api.get(f"{path}?state=running").json()["results"] == []
    old.refresh_from_db()
    assert old.state == "failed"


def test_a_running_replay_is_canceled_once(api: Api, path: str, config: PostbackConfig) -> None:
    failure(config)
    replay = api.post(path, {"postback": str(config.pk)}).json()
    replays.advance()
    canceled = api.post(f"{path}/{replay['id']}/cancel").json()
    assert (canceled["stopped"], canceled["replay"]["state"]) == (1, "cancelled")
    assert api.post(f"{path}/{replay['id']}/cancel").json()["stopped"] == 0
    assert Delivery.objects.get().state == "failed"


def test_a_replay_that_cannot_start_is_a_conflict_with_the_reason(api: Api, path: str, config: PostbackConfig) -> None:
    problem = problem_of(api.post(path, {"postback": str(config.pk)}), 409)
    assert problem["detail"].startswith("No failed deliveries match.")
    PostbackConfig.objects.update(enabled=False)
    body = {"postback": str(config.pk)}
    assert problem_of(api.post(path, body), 409)["detail"] == "The postback is disabled. Enable it first."
    assert api.post(path, {**body, "dry_run": True}).json()["blocked"] == "The postback is disabled. Enable it first."
    assert not Replay.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "postback"),
        ({"postback": "x"}, "postback"),
        ({"verdict": "odd"}, "verdict"),
        ({"dry_run": "yes"}, "dry_run"),
        ({"failed_from": "2026-11-02T00:00:00Z", "failed_until": "2026-11-01T00:00:00Z"}, "failed_until"),
        ({"filter": {}}, "filter"),
    ],
)
def test_an_invalid_filter_is_refused(
    api: Api, path: str, config: PostbackConfig, body: dict[str, Any], field: str
) -> None:
    given = {"postback": str(config.pk), **body} if body else body
    assert [error["field"] for error in problem_of(api.post(path, given), 400)["errors"]] == [field]
    assert not Replay.objects.exists()


def test_another_tenants_postback_and_replay_do_not_exist(api: Api, game: Game, path: str) -> None:
    theirs = factories.config(factories.game())
    failure(theirs)
    replay = replays.start(config=theirs, failed_from=None, failed_until=None, verdict="", requested_by=None)
    problem = problem_of(api.post(path, {"postback": str(theirs.pk)}), 400)
    assert problem["detail"] == "This postback does not exist in the game."
    problem_of(api.get(f"{path}/{replay.pk}"), 404)
    problem_of(api.post(f"{path}/{replay.pk}/cancel"), 404)
    assert api.get(path).json()["results"] == []
    for weaker in (game_api(game, Role.VIEWER), game_api(game, scopes=(Scope.READ,))):
        problem_of(weaker.post(path, {"postback": str(theirs.pk)}), 403)
        problem_of(weaker.post(f"{path}/{replay.pk}/cancel"), 403)
    replay.refresh_from_db()
    assert replay.state == "running"


def test_the_number_of_queries_does_not_depend_on_the_number_of_replays(
    api: Api, game: Game, path: str, config: PostbackConfig
) -> None:
    Replay.objects.create(game=game, config=config)
    api.get(path)
    one = queries_of(lambda: api.get(path))
    for _ in range(5):
        Replay.objects.create(game=game, config=config)
    assert queries_of(lambda: api.get(path)) == one
