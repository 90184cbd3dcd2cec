"""The queue of each task, and the database connections of a worker's threads."""

import pytest
from celery.fixups.django import DjangoWorkerFixup
from celery.signals import task_prerun
from django.conf import settings
from django.db import connection
from redis import Redis

from audience.tasks import digest
from config.celery import app
from tests.audience.concurrency import end_backend

pytestmark = pytest.mark.django_db(transaction=True)

DIGEST_TASKS = {
    *("audience.tasks.digest", "audience.tasks.erase", "audience.tasks.make_partitions", "audience.tasks.prune"),
    *("audience.tasks.roll_up", "postbacks.tasks.fan_out", "postbacks.tasks.prune", "postbacks.tasks.roll_up"),
    "postbacks.tasks.match_launches",
    *("postbacks.tasks.refresh_figures", "audience.tasks.record_expired_tokens", "audience.tasks.count_events"),
}


def test_every_task_is_routed_to_one_of_two_queues() -> None:
    app.loader.import_default_modules()
    tasks = {task for task in app.tasks if task.startswith(("audience.", "postbacks."))}
    routed = {task: app.amqp.router.route({}, task)["queue"].name for task in tasks}
    assert routed == {task: "digest" if task in DIGEST_TASKS else "delivery" for task in tasks}
    assert tasks > DIGEST_TASKS


@pytest.mark.parametrize(
    ("task", "queue"), [("audience.tasks.digest", "digest"), ("postbacks.tasks.deliver", "delivery")]
)
def test_a_message_is_read_in_one_queue_only(task: str, queue: str) -> None:
    broker = Redis.from_url(settings.CELERY_BROKER_URL)
    with app.connection_or_acquire() as broker_connection:
        for each in app.amqp.queues.values():
            each(broker_connection.default_channel).declare()  # as the two workers do
        broker.delete("digest", "delivery")
        app.send_task(task, connection=broker_connection)
    assert {name: broker.llen(name) for name in ("digest", "delivery")} == {"digest": 0, "delivery": 0, queue: 1}
    broker.delete(queue)


def test_a_worker_without_a_queue_option_takes_both() -> None:
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
