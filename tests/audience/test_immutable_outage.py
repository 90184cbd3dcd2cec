"""While PostgreSQL or the broker is unavailable, nothing is lost and no client discards its data."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from redis import ConnectionError, Redis

from audience.background import wakeup
from audience.games.keys import NewKey
from audience.models import Batch, Erasure, Event, Rejection
from consent.models import ConsentDecision
from tests.audience.concurrency import end_backend, in_thread, own_connection, wait_for_a_lock
from tests.audience.immutable import CONSENT, DATA, assert_envelope, message, send

pytestmark = pytest.mark.django_db(transaction=True)
AWAY = "Storage is temporarily unavailable. Send the request again."


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def postgresql_away() -> Iterator[None]:
    """Every new connection is refused, as by a server that is down."""
    port = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = closed_port()
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["PORT"] = port


def assert_told_to_come_back(answer: HttpResponse) -> None:
    assert_envelope(answer, 503, "INTERNAL_SERVER_ERROR", AWAY)
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After, X-Request-ID"


def test_messages_get_503_while_postgresql_is_away_and_are_stored_once_by_the_retry(key: NewKey) -> None:
    batch = [message(), message(surface="tv")]
    with postgresql_away():
        assert_told_to_come_back(send(key, *batch))
        assert_told_to_come_back(send(key, *batch))
    assert not Event.objects.exists()
    assert not Rejection.objects.exists()
    assert not Batch.objects.exists()

    assert (send(key, *batch).json()["accepted"], send(key, *batch).json()["accepted"]) == (1, 1)
    assert [event.message_id for event in Event.objects.all()] == [batch[0]["messageId"]]


def test_an_unknown_key_is_503_too_while_keys_cannot_be_looked_up() -> None:
    headers = {"x-immutable-publishable-key": "pk_imapik-unknown"}
    with postgresql_away():
        answer = Client().post("/v1/audience/messages", b"{}", "application/json", headers=headers)

    assert_told_to_come_back(answer)


def test_consent_gets_503_while_postgresql_is_away(key: NewKey) -> None:
    headers = {"x-immutable-publishable-key": key.value}
    decision = {"anonymousId": "a-1", "status": "none", "source": "banner"}
    with postgresql_away():
        assert_told_to_come_back(Client().put(CONSENT, decision, "application/json", headers=headers))
        assert_told_to_come_back(Client().get(f"{CONSENT}?anonymousId=a-1", headers=headers))

    assert not ConsentDecision.objects.exists()


def test_an_erasure_gets_503_while_postgresql_is_away(secret_key: NewKey) -> None:
    with postgresql_away():
        answer = Client().delete(f"{DATA}?userId=user-1", headers={"x-immutable-api-key": secret_key.value})

    assert_told_to_come_back(answer)
    assert not Erasure.objects.exists()


def test_a_connection_that_postgresql_cut_since_the_last_request_is_replaced(key: NewKey) -> None:
    connection.ensure_connection()
    connection.settings_dict["CONN_HEALTH_CHECKS"] = True
    end_backend(_backend_pid())
    # What Django does between two requests.
    connection.close_if_unusable_or_obsolete()

    assert send(key, message()).status_code == 200


def test_a_request_that_loses_postgresql_half_way_stores_nothing_and_gets_503(key: NewKey) -> None:
    """A lock holds the request inside its transaction, its rows inserted and about to be counted; then its backend is
    ended."""
    answers: list[HttpResponse] = []
    batch = [message(), message(surface="tv")]

    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE audience_requesttail IN SHARE MODE")
        request = in_thread(lambda: answers.append(send(key, *batch)))
        end_backend(wait_for_a_lock())
        request.join(20)

    assert_told_to_come_back(answers[0])
    assert not Event.objects.exists()
    assert not Rejection.objects.exists()
    assert not Batch.objects.exists()
    assert send(key, *batch).json()["accepted"] == 1


def _backend_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


# The broker


@contextlib.contextmanager
def broker_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(current_app.conf, "broker_url", f"redis://127.0.0.1:{closed_port()}/0")
        _forget_connections()
        yield
    _forget_connections()


def _forget_connections() -> None:
    current_app._after_fork()


def wake_ups() -> list[str]:
    """The tasks asked for in the real broker's queue."""
    queued = Redis.from_url(settings.CELERY_BROKER_URL).lrange("digest", 0, -1)
    return [json.loads(word)["headers"]["task"] for word in queued]


def _eventually(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 s"
        time.sleep(0.02)


def test_a_batch_wakes_the_digest_once_it_is_stored(key: NewKey) -> None:
    Redis.from_url(settings.CELERY_BROKER_URL).delete("digest")
    send(key, message())

    _eventually(lambda: "audience.tasks.digest" in wake_ups())


def test_wake_ups_of_the_digest_are_limited_most() -> None:
    """It goes on while events come in; nobody else waits for the next message longer than need be."""
    assert wakeup._interval({("postbacks.tasks.fan_out", ())}) == wakeup.INTERVAL_SECONDS
    assert wakeup._interval({("postbacks.tasks.fan_out", ()), (wakeup.DIGEST, ())}) == wakeup.DIGEST_INTERVAL_SECONDS
    assert wakeup.DIGEST in {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}


def test_a_batch_without_new_events_wakes_no_worker(key: NewKey) -> None:
    once = message()
    send(key, once)
    _eventually(lambda: "audience.tasks.digest" in wake_ups())
    time.sleep(2 * wakeup.DIGEST_INTERVAL_SECONDS)
    Redis.from_url(settings.CELERY_BROKER_URL).delete("digest")
    send(key, once)
    send(key, message(surface="tv"))
    time.sleep(2 * wakeup.DIGEST_INTERVAL_SECONDS)

    assert wake_ups() == []


def test_while_the_broker_is_away_messages_are_answered_at_once_and_stored_and_wake_ups_go_on_after(
    key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(key, message())
    with broker_away(monkeypatch):
        started = time.monotonic()
        answers = [send(key, message()) for _ in range(5)]
        took = time.monotonic() - started

    assert [answer.json()["accepted"] for answer in answers] == [1] * 5
    assert took < 2
    assert Event.objects.count() == 6
    assert Batch.objects.due().count() == 6
    Redis.from_url(settings.CELERY_BROKER_URL).delete("digest")
    send(key, message())
    _eventually(lambda: "audience.tasks.digest" in wake_ups())


def test_a_broker_lost_during_an_open_connection_ends_no_thread(
    key: NewKey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """redis-py's own error, where kombu made the connection before."""
    ended: list[Any] = []
    asked = threading.Event()

    def gone(*_: Any, **__: Any) -> int:
        asked.set()
        raise ConnectionError("Connection closed by server.")

    with monkeypatch.context() as patch:
        patch.setattr(threading, "excepthook", ended.append)
        patch.setattr(Redis, "llen", gone)
        assert send(key, message()).json()["accepted"] == 1
        assert asked.wait(30)
        _eventually(lambda: ended or "broker_unavailable" in caplog.text)

    assert ended == []
    Redis.from_url(settings.CELERY_BROKER_URL).delete("digest")
    send(key, message())
    _eventually(lambda: "audience.tasks.digest" in wake_ups())


def test_a_queue_that_no_worker_reads_stops_filling_and_the_other_one_does_not() -> None:
    broker = Redis.from_url(settings.CELERY_BROKER_URL)
    broker.delete("digest", "delivery")
    broker.lpush("delivery", *["unread"] * (wakeup.MAX_UNREAD + 1))
    wakeup.wake_now("postbacks.tasks.deliver", "tiktok")
    wakeup.wake_now("postbacks.tasks.fan_out")
    try:
        _eventually(lambda: wake_ups() == ["postbacks.tasks.fan_out"])
        assert broker.llen("delivery") == wakeup.MAX_UNREAD + 1
    finally:
        broker.delete("digest", "delivery")
