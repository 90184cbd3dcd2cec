"""The retry schedule: 30 s to 12 h, upward jitter, Retry-After up to 12 h, and nothing after 47 hours."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.delivery.retry_schedule import SCHEDULE, next_attempt

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def wait(attempt: int, *, retry_after: float | None = None, jitter: float = 0.0) -> float | None:
    """Seconds until the next attempt."""
    at = next_attempt(attempt=attempt, first_attempt_at=NOW, now=NOW, retry_after=retry_after, jitter=lambda: jitter)
    return None if at is None else (at - NOW).total_seconds()


def test_the_delays_grow_from_30_seconds_to_12_hours() -> None:
    assert [wait(attempt) for attempt in range(1, 9)] == [30, 120, 600, 3600, 10800, 21600, 43200, None]


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 30.0), (0.5, 31.5), (1.0, 33.0)])
def test_jitter_adds_up_to_a_tenth(jitter: float, seconds: float) -> None:
    assert wait(1, jitter=jitter) == pytest.approx(seconds)


@pytest.mark.parametrize(("retry_after", "seconds"), [(5.0, 5.0), (30.0, 30.0), (7200.0, 7200.0), (0.0, 1.0)])
def test_retry_after_replaces_the_schedule(retry_after: float, seconds: float) -> None:
    assert wait(1, retry_after=retry_after) == seconds


def test_retry_after_adds_no_attempt_to_the_schedule() -> None:
    assert wait(8, retry_after=1.0) is None


@pytest.mark.parametrize(("hours", "tries"), [(46.99, True), (46.992, False), (47, False), (60, False)])
def test_nothing_is_scheduled_after_47_hours(hours: float, tries: bool) -> None:
    first = NOW - timedelta(hours=hours)
    at = next_attempt(attempt=1, first_attempt_at=first, now=NOW, jitter=lambda: 0.0)
    assert (at is not None) is tries


@pytest.mark.parametrize("hours", [12, 24, 47, 720])
def test_a_retry_after_beyond_the_longest_delay_is_read_as_that_delay(hours: int) -> None:
    assert wait(1, retry_after=hours * 3600) == 12 * 3600


def test_a_retry_after_that_ends_beyond_the_retry_period_ends_it() -> None:
    first = NOW - timedelta(hours=36)
    at = next_attempt(attempt=1, first_attempt_at=first, now=NOW, retry_after=11 * 3600, jitter=lambda: 0.0)
    assert at == NOW + timedelta(hours=11)
    assert next_attempt(attempt=1, first_attempt_at=first, now=NOW, retry_after=86_400, jitter=lambda: 0.0) is None


@given(attempt=st.integers(1, 8), retry_after=st.none() | st.floats(0, 2_592_000), jitter=st.floats(0, 1))
def test_the_delay_is_at_least_retry_after_and_at_most_a_tenth_longer(
    attempt: int, retry_after: float | None, jitter: float
) -> None:
    seconds = wait(attempt, retry_after=retry_after, jitter=jitter)
    if attempt > len(SCHEDULE):
        assert seconds is None
        return
    asked = SCHEDULE[attempt - 1] if retry_after is None else min(max(retry_after, 1.0), 43_200.0)
    assert seconds is not None
    assert asked - 1e-5 <= seconds <= asked * 1.1 + 1e-5
