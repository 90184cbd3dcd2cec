"""Keys and tokens are fetched before requests on the event loop need them, without blocking it."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.db import OperationalError
from django.utils import timezone

from audience.games.keys import NewKey, create_key
from audience.intake.requests import auth, limit, prefetch
from audience.intake.requests.auth import find_key
from audience.models import ApiKey, Game, KeyKind
from tests.audience.event_loop import close, on_loop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadPoolExecutor]:
    """The thread that fetches; its work is done when its `submit` of something later is."""
    own = ThreadPoolExecutor(1)
    monkeypatch.setattr(prefetch, "executor", own)
    monkeypatch.setattr(auth, "KEY_CACHE_SECONDS", 1.0)
    limit.get_limiter.cache_clear()
    redis.Redis.from_url(settings.CELERY_BROKER_URL).flushdb()
    yield own
    close(own)
    auth.clear_key_cache()
    limit.get_limiter.cache_clear()


@pytest.fixture
def made(game: Game) -> NewKey:
    return create_key(game=game, name="k", rate_limit=1000)


def found(made: NewKey) -> ApiKey | None:
    """On the event loop."""

    async def find() -> ApiKey | None:
        return find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))

    return on_loop(find)


def admitted(made: NewKey, times: int = 1) -> list[int]:
    """The waits, on the event loop."""

    async def ask() -> list[int]:
        return [limit.seconds_to_wait(made.key) for _ in range(times)]

    return on_loop(ask)


def age(made: NewKey, seconds: float) -> None:
    for kept in auth._cache.values():
        kept.expires_at -= seconds
    for lease in limit.get_limiter().leases.values():
        lease.expires_at -= seconds


def left(made: NewKey) -> int:
    return limit.get_limiter().leases[made.key.pk].remaining


def done(thread: ThreadPoolExecutor) -> None:
    thread.submit(lambda: None).result(15)


def test_a_key_about_to_expire_is_refreshed_once_while_requests_use_the_cached_one(
    thread: ThreadPoolExecutor, made: NewKey
) -> None:
    find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    age(made, 0.6)
    may_go = threading.Event()
    thread.submit(may_go.wait, 15)
    submitted = thread._work_queue.qsize()

    assert [found(made), found(made), found(made)] == [made.key] * 3
    assert thread._work_queue.qsize() - submitted == 1
    may_go.set()
    done(thread)
    [kept] = auth._cache.values()
    assert kept.expires_at - time.monotonic() > 0.6
    assert found(made) == made.key


def test_a_fresh_key_is_not_refreshed(thread: ThreadPoolExecutor, made: NewKey) -> None:
    find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    [before] = auth._cache.values()
    found(made)
    done(thread)

    assert list(auth._cache.values()) == [before]
    assert not before.is_refreshing


def test_a_refresh_finds_that_another_process_revoked_the_key(thread: ThreadPoolExecutor, made: NewKey) -> None:
    find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    ApiKey.objects.update(revoked_at=timezone.now())
    age(made, 0.6)
    found(made)
    done(thread)
    assert found(made) is None


def test_a_key_that_changed_during_its_lookup_is_not_cached(
    thread: ThreadPoolExecutor, made: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    age(made, 0.6)
    select_related = auth.ApiKey.objects.select_related

    def forgotten_meanwhile(*names: str) -> object:
        auth.clear_key_cache()
        return select_related(*names)

    monkeypatch.setattr(auth.ApiKey.objects, "select_related", forgotten_meanwhile)
    found(made)
    done(thread)
    assert auth._cache == {}


def test_a_key_whose_refresh_failed_expires_on_time(
    thread: ThreadPoolExecutor, made: NewKey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    age(made, 0.6)

    def away(*names: str) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(auth.ApiKey.objects, "select_related", away)
    assert found(made) == made.key
    done(thread)
    assert "prefetch_failed" in caplog.text
    age(made, 0.5)
    with pytest.raises(SynchronousOnlyOperation):  # a thread asks the database
        found(made)


def test_nothing_is_prefetched_on_a_thread(
    thread: ThreadPoolExecutor, made: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_key(made.value, kinds=(KeyKind.PUBLISHABLE,))
    assert limit.seconds_to_wait(made.key) == 0
    age(made, 0.6)

    submitted: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(thread, "submit", lambda *work: submitted.append(work))
        assert find_key(made.value, kinds=(KeyKind.PUBLISHABLE,)) == made.key
        assert limit.seconds_to_wait(made.key) == 0
    assert submitted == []


def test_tokens_are_renewed_once_half_of_them_are_spent(thread: ThreadPoolExecutor, made: NewKey) -> None:
    assert limit.seconds_to_wait(made.key) == 0
    size = int(1000 * limit.LEASE_SIZE_SECONDS)
    assert left(made) == size - 1

    admitted(made, left(made) - size // 2)
    done(thread)
    assert left(made) == size // 2
    admitted(made, 1)
    done(thread)
    assert left(made) == size


def test_tokens_are_renewed_once_half_of_their_time_is_over(thread: ThreadPoolExecutor, made: NewKey) -> None:
    limit.seconds_to_wait(made.key)
    age(made, 0.6)
    before = limit.get_limiter().leases[made.key.pk]

    assert admitted(made, 3) == [0, 0, 0]
    done(thread)
    now = limit.get_limiter().leases[made.key.pk]
    assert now is not before
    assert now.expires_at - time.monotonic() > 0.6


def test_tokens_spent_during_a_refill_stay_spent(
    thread: ThreadPoolExecutor, made: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit.seconds_to_wait(made.key)
    age(made, 0.6)
    admitted(made)
    done(thread)
    age(made, 0.6)
    before, limiter = left(made), limit.get_limiter()
    ask = limiter.take

    def spending(*asked: Any) -> Any:
        answer = ask(*asked)
        limiter.leases[made.key.pk].remaining -= 7
        return answer

    monkeypatch.setattr(limiter, "take", spending)
    admitted(made)
    done(thread)
    assert left(made) == int(1000 * limit.LEASE_SIZE_SECONDS) - 7
    assert before > 7


def test_a_key_without_tokens_is_refused_on_a_thread(thread: ThreadPoolExecutor, made: NewKey) -> None:
    limit.seconds_to_wait(made.key)
    limit.get_limiter().leases[made.key.pk].remaining = 0

    with pytest.raises(SynchronousOnlyOperation):
        admitted(made)


def test_prefetched_tokens_do_not_exceed_the_limit(thread: ThreadPoolExecutor, game: Game) -> None:
    made = create_key(game=game, name="k", rate_limit=200)
    started, admissions = time.monotonic(), 0
    for _ in range(200 * limit.BURST_SECONDS + 400):
        try:
            [wait] = admitted(made)
        except SynchronousOnlyOperation:
            wait = limit.seconds_to_wait(made.key)
        admissions += wait == 0
        done(thread)
    passed = time.monotonic() - started

    assert 200 * limit.BURST_SECONDS <= admissions <= 200 * (limit.BURST_SECONDS + passed) + 1
