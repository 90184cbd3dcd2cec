"""The Celery application. The broker only wakes workers up; every piece of work is a database row."""

import os

from celery import Celery
from celery.signals import task_prerun
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("afterclick")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["audience", "postbacks"])


@task_prerun.connect
def drop_old_connection(**_: object) -> None:
    """As before a request: the thread's connection stays unless it is broken or CONN_MAX_AGE old."""
    close_old_connections()
