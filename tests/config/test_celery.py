"""A worker's threads keep their database connections from task to task, and only a broken one is made anew."""

import pytest
from celery.fixups.django import DjangoWorkerFixup
from celery.signals import task_prerun
from django.db import connection

from audience.tasks import digest
from config.celery import app
from tests.audience.concurrency import end_backend

pytestmark = pytest.mark.django_db(transaction=True)


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
