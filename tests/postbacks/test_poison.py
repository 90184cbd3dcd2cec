"""A row that fails in each queue: its neighbour is processed; it is retried alone, then set aside and shown."""

from typing import Any

import pytest

from audience.background import set_aside
from audience.models import Batch, FailedWork
from config import gauges
from config.task_settings import BEAT
from postbacks.reporting import audit
from postbacks.sandbox.server import Sandbox
from tests.postbacks import poison

# Tasks of the beat without rows that can fail, with the reason.
WITHOUT_ROWS = {
    "expired-tokens": "writes one entry of the audit log per token, in one transaction",
    "event-counts": "tests/audience/test_event_counts.py",
}


@pytest.fixture(autouse=True)
def _committed(transactional_db: None, sandbox: Sandbox) -> None:
    """Tests commit, since an error would abort the transaction of the test."""


def set_aside_by_queue() -> dict[str, float]:
    """Return afterclick_set_aside by queue, without zeros."""
    (gauge,) = [gauge for gauge in gauges.QueueCollector().collect() if gauge.name == "afterclick_set_aside"]
    return {sample.labels["queue"]: sample.value for sample in gauge.samples if sample.value}


def violations() -> list[Any]:
    return [finding.examples for finding in audit.run(days=0).findings if finding.name == "nothing_set_aside"]


def test_every_task_of_the_beat_has_a_row_that_fails() -> None:
    assert set(poison.CASES) | set(WITHOUT_ROWS) == set(BEAT)


@pytest.mark.parametrize("task", sorted(poison.CASES))
def test_a_failing_row_does_not_stop_others_and_is_set_aside(task: str) -> None:
    with poison.poisoned(task) as row:
        row.run_task()
        assert row.neighbour_is_processed()
        assert row.failures() == [(1, False, row.error)]
        row.run_task()
        assert row.failures() == [(1, False, row.error)], "it was retried before it was due"
        assert (set_aside_by_queue(), violations()) == ({}, [[]])

        for attempts in range(2, 9):
            row.make_due()
            row.run_task()
            assert row.failures() == [(attempts, attempts == 8, row.error)]
        assert set_aside_by_queue() == {row.queue: 1}
        assert violations() == [[f"{row.queue} {row.row}"]]
        assert not row.is_processed()

        row.make_due()
        row.run_task()
        assert row.failures() == [(8, True, row.error)], "a row that was set aside is not retried"

        row.repair()
        batches = set_aside.retry_failed_batches(Batch.objects.all())
        assert set_aside.retry_set_aside(FailedWork.objects.all()) + batches == 1
        row.run_task()
        assert row.is_processed()
        assert (row.failures(), set_aside_by_queue(), violations()) == ([], {}, [[]])
