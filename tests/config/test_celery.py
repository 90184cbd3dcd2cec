"""Which queue each task goes to, and that a worker's threads keep their database connections from task to task."""

import pytest
from celery.fixups.django import DjangoWorkerFixup
from celery.signals import task_prerun
from django.db import connection

from audience.tasks import digest
from config.celery import app
from tests.audience.concurrency import end_backend

pytestmark = pytest.mark.django_db(transaction=True)

QUEUES = {
    "digest": {
        *("audience.tasks.digest", "audience.tasks.erase", "audience.tasks.make_partitions", "audience.tasks.prune"),
        *("audience.tasks.roll_up", "postbacks.tasks.fan_out", "postbacks.tasks.prune", "postbacks.tasks.roll_up"),
    },
    "delivery": {
        *("postbacks.tasks.alerts", "postbacks.tasks.check_credentials", "postbacks.tasks.deliver"),
        *("postbacks.tasks.digests", "postbacks.tasks.notices", "postbacks.tasks.replay"),
        "postbacks.tasks.sweep_checks",
    },
}


def test_every_task_is_routed_to_one_of_two_queues() -> None:
    app.loader.import_default_modules()
    routed: dict[str, set[str]] = {"digest": set(), "delivery": set()}
    for task in app.tasks:
        if task.startswith(("audience.", "postbacks.")):
            routed[app.amqp.router.route({}, task)["queue"].name].add(task)
    assert routed == QUEUES


def test_a_worker_without_a_choice_of_queues_takes_both() -> None:
    assert set(app.amqp.queues.consume_from) == {"digest", "delivery"}


def backend() -> int:
    """The connection's process in PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def between_two_tasks(fixup: DjangoWorkerFixup) -> None:
    """What a worker does there: Celery's own part for Django, and ours."""
    fixup.on_task_postrun(sender=digest)
    fixup.on_task_prerun(sender=digest)
    task_prerun.send(sender=digest)


def test_a_connection_outlasts_the_task() -> None:
    fixup, first = DjangoWorkerFixup(app), backend()
    for _ in range(5):
        between_two_tasks(fixup)
        assert backend() == first


def test_a_broken_connection_costs_no_task() -> None:
    fixup, first = DjangoWorkerFixup(app), backend()
    end_backend(first)
    between_two_tasks(fixup)

    assert backend() != first
