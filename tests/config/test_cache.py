"""The cache shared by all processes, and its fallback while Valkey is unavailable."""

from typing import Any

import pytest
import redis
from django.conf import settings as configured
from django.core.cache import cache, caches
from django.test import Client

import config.cache
from config.cache import PREFIX, SharedCache
from tests import hub

AWAY = "redis://127.0.0.1:1/0"  # nothing listens there


@pytest.fixture(autouse=True)
def _valkey_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage in one test is none in the next."""
    monkeypatch.setattr(SharedCache, "unavailable_until", 0.0)
    cache.clear()


@pytest.fixture
def away(settings: Any) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": AWAY}}


def another_process() -> SharedCache:
    given = configured.CACHES["default"]
    return SharedCache(given["LOCATION"], {"KEY_PREFIX": given["KEY_PREFIX"]})


def test_what_one_process_writes_another_reads() -> None:
    assert isinstance(caches["default"], SharedCache)
    assert cache.add("code", "y", timeout=30) is True
    other = another_process()
    assert other.add("code", "y", timeout=30) is False
    for value in (True, 7, [1.5, 2.0], "text", {"a": None}):
        cache.set("kept", value)
        assert other.get("kept") == value
    cache.set("count", 1)
    assert (other.incr("count"), cache.get("count")) == (2, 2)
    assert other.get_many(["count", "none"]) == {"count": 2}
    assert (cache.delete("count"), other.get("count")) == (True, None)


def test_clearing_the_cache_keeps_the_queues_of_the_workers() -> None:
    server = redis.Redis.from_url(configured.CACHES["default"]["LOCATION"])
    server.set("celery-queue", "work")
    cache.set("kept", 1)
    cache.clear()
    assert (cache.get("kept"), server.get("celery-queue")) == (None, b"work")
    server.delete("celery-queue")


def test_values_are_data_and_never_code() -> None:
    server = redis.Redis.from_url(configured.CACHES["default"]["LOCATION"])
    server.set(f"{PREFIX}:1:x", b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.")
    with pytest.raises(ValueError, match="codec|Expecting"):
        cache.get("x")
    server.delete(f"{PREFIX}:1:x")


def test_while_valkey_is_unavailable_each_process_counts_separately(away: None) -> None:
    assert (cache.add("code", "y", timeout=30), cache.add("code", "y", timeout=30)) == (True, False)
    cache.set("kept", [1.0])
    assert (cache.get("kept"), cache.get("none", "else")) == ([1.0], "else")


def test_an_outage_is_noticed_once_and_not_on_every_call(
    away: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []
    connect = redis.connection.Connection.connect
    monkeypatch.setattr(redis.connection.Connection, "connect", lambda self: (asked.append(1), connect(self)))
    for _ in range(10):
        cache.get("x")
    assert len(asked) == 1
    assert [record.message for record in caplog.records if "cache_unavailable" in record.getMessage()] != []


def test_valkey_is_used_again_when_it_is_available(away: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.cache, "PAUSE_SECONDS", 3_600.0)
    cache.set("kept", 1)
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": another_location()}}
    server = redis.Redis.from_url(another_location())
    cache.set("kept", 2)
    assert server.get(f"{PREFIX}:1:kept") is None
    monkeypatch.setattr(SharedCache, "unavailable_until", 0.0)
    cache.set("kept", 3)
    assert server.get(f"{PREFIX}:1:kept") == b"3"


def another_location() -> str:
    return str(configured.CELERY_BROKER_URL)


def test_signing_in_works_while_valkey_is_unavailable_and_limits_apply(db: None, away: None) -> None:
    hub.user("ada")
    client = Client()
    client.post("/accounts/login/", {"login": "ada@studio.example", "password": hub.PASSWORD})
    assert "_auth_user_id" in client.session
    assert client.get("/accounts/").status_code == 200
    answers = [Client().post("/accounts/login/", {"login": "not an address"}).status_code for _ in range(61)]
    assert set(answers[:50]) == {200}
    assert answers[-1] == 429
    for _ in range(11):
        answer = Client(REMOTE_ADDR="198.51.100.7").post(
            "/accounts/login/", {"login": "ada@studio.example", "password": "wrong"}
        )
    assert answer.status_code == 429
