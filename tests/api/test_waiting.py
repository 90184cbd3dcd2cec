"""Answers that wait for the check of a credential: `Prefer: wait`."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from audience.models import Game, Role
from postbacks.configs import check_waiting, credentials
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.management_api import Api, game_api, problem_of

pytestmark = pytest.mark.django_db(transaction=True)

NEW = {
    "network": "tiktok",
    "pixel_id": factories.PIXELS["tiktok"],
    "credential": {"token": factories.TOKENS["tiktok"]},
    "triggers": ["purchase"],
}


@pytest.fixture
def path(game: Game) -> str:
    return f"games/{game.slug}/postbacks"


@pytest.fixture
def api(game: Game) -> Api:
    return game_api(game, Role.MARKETER)


@pytest.fixture
def worker() -> Iterator[None]:
    """A thread that runs pending checks, as a worker does."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(0.02):
            for pk in list(CredentialCheck.objects.pending().values_list("pk", flat=True)):
                credentials.run_check(check_id=str(pk))
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    is_over.set()
    thread.join()


def test_a_request_that_waits_is_answered_with_the_new_postback(
    api: Api, path: str, sandbox: Sandbox, worker: None
) -> None:
    made = api.post(path, NEW, prefer="respond-async, wait=20")
    assert (made.status_code, made["Preference-Applied"]) == (201, "wait=20")
    config = PostbackConfig.objects.get()
    assert (made.json()["id"], made.json()["version"]) == (str(config.pk), 1)
    assert made["ETag"] == api.get(f"{path}/{config.pk}")["ETag"]


def test_a_refusal_is_a_problem_with_the_networks_sentence(api: Api, path: str, sandbox: Sandbox, worker: None) -> None:
    response = api.post(path, {**NEW, "credential": {"token": "0" * 40}}, prefer="wait=10")
    problem = problem_of(response, 400)
    assert problem["code"] == "check_refused"
    assert "Access token is incorrect or has been revoked" in problem["detail"]
    assert response["Preference-Applied"] == "wait=10"
    assert not PostbackConfig.objects.exists()


def test_a_network_that_cannot_be_reached_is_a_conflict(api: Api, path: str, sandbox: Sandbox, worker: None) -> None:
    sandbox.state.add_fault("tiktok", "unavailable", 1)
    problem = problem_of(api.post(path, NEW, prefer="wait=10"), 409)
    assert problem["code"] == "check_unverified"
    assert problem["detail"].endswith("nothing was saved. Try again in a minute.")
    assert not PostbackConfig.objects.exists()


def test_a_changed_postback_and_a_check_are_answered_too(
    api: Api, game: Game, path: str, sandbox: Sandbox, worker: None
) -> None:
    config = factories.config(game, credential={"token": "old"})
    body = {"credential": NEW["credential"]}
    rotated = api.post(f"{path}/{config.pk}/rotate", body, prefer="wait=10")
    assert (rotated.status_code, rotated.json()["version"]) == (200, 2)
    changed = api.patch(f"{path}/{config.pk}", body, prefer="wait=10", if_match=rotated["ETag"])
    assert (changed.status_code, changed.json()["version"]) == (200, 3)
    checked = api.post(f"{path}/{config.pk}/check", prefer="wait=10").json()["check"]
    assert (checked["purpose"], checked["state"]) == ("release", "passed")
    # Nothing to check: nothing to wait for.
    plain = api.patch(f"{path}/{config.pk}", {"enabled": False}, prefer="wait=10")
    assert (plain.status_code, plain.get("Preference-Applied")) == (200, None)


def test_without_a_worker_the_answer_is_the_pending_check_when_the_wait_is_over(api: Api, path: str) -> None:
    began = time.monotonic()
    response = api.post(path, NEW, prefer="wait=1")
    assert 1 <= time.monotonic() - began < 5
    assert (response.status_code, response["Preference-Applied"]) == (202, "wait=1")
    assert response.json()["check"]["state"] == "pending"


@pytest.mark.parametrize("prefer", ["", "wait", "wait=0", "wait=x", "return=minimal"])
def test_other_preferences_do_not_wait(api: Api, path: str, prefer: str) -> None:
    response = api.post(path, NEW, prefer=prefer)
    assert (response.status_code, response.get("Preference-Applied")) == (202, None)


def test_the_longest_wait_and_the_number_of_waits_are_limited(api: Api, path: str) -> None:
    assert (check_waiting.MAX_WAITS, check_waiting.MAX_SECONDS) == (4, 20)
    with check_waiting.place(), check_waiting.place(), check_waiting.place(), check_waiting.place() as is_free:
        assert is_free
        began = time.monotonic()
        response = api.post(path, NEW, prefer="wait=20")
        assert time.monotonic() - began < 5
    assert (response.status_code, response.get("Preference-Applied")) == (202, None)
    with check_waiting.place() as is_free:
        assert is_free


def test_a_repeated_request_waits_for_the_same_check(api: Api, path: str, sandbox: Sandbox, worker: None) -> None:
    answers: list[Any] = [api.post(path, NEW, prefer="wait=10", idempotency_key="new-1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert (CredentialCheck.objects.count(), PostbackConfig.objects.count()) == (1, 1)
