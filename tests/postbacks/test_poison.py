"""One bad row in each queue: its neighbour goes through, it is tried alone, then set aside where people see it."""

from typing import Any

import pytest

from audience.background import retries
from audience.models import Batch, FailedWork
from config import gauges
from config.task_settings import BEAT
from postbacks.reporting import audit
from postbacks.sandbox.server import Sandbox
from tests.postbacks import poison

# What bears no rows that could fail, by the name in the beat and with the reason.
WITHOUT_ROWS: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _committed(transactional_db: None, sandbox: Sandbox) -> None:
    """What fails outside a transaction of its own must not take the test's with it."""


def set_aside() -> dict[str, float]:
    """afterclick_set_aside by queue, without those that have nothing."""
    (gauge,) = [one for one in gauges.QueueCollector().collect() if one.name == "afterclick_set_aside"]
    return {sample.labels["queue"]: sample.value for sample in gauge.samples if sample.value}


def violations() -> list[Any]:
    return [finding.examples for finding in audit.run(days=0).findings if finding.name == "nothing_set_aside"]


def test_every_task_of_the_beat_has_its_poison() -> None:
    assert set(poison.CASES) | set(WITHOUT_ROWS) == set(BEAT)


@pytest.mark.parametrize("task", sorted(poison.CASES))
def test_a_poisoned_row_stops_no_other_and_is_set_aside(task: str) -> None:
    with poison.poisoned(task) as row:
        row.sweep()
        assert row.neighbour_went_through()
        assert row.failures() == [(1, False, row.error)]
        row.sweep()
        assert row.failures() == [(1, False, row.error)], "it was tried again before its time"
        assert (set_aside(), violations()) == ({}, [[]])

        for attempts in range(2, 9):
            row.come_due()
            row.sweep()
            assert row.failures() == [(attempts, attempts == 8, row.error)]
        assert set_aside() == {row.queue: 1}
        assert violations() == [[f"{row.queue} {row.row}"]]
        assert not row.went_through()

        row.come_due()
        row.sweep()
        assert row.failures() == [(8, True, row.error)], "what was set aside is left alone"

        row.heal()
        assert retries.retry(FailedWork.objects.all()) + retries.retry_batches(Batch.objects.all()) == 1
        row.sweep()
        assert row.went_through()
        assert (row.failures(), set_aside(), violations()) == ([], {}, [[]])
