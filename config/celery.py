"""The Celery application. The broker only wakes workers; every piece of work is a database row."""

import gc
import os

from celery import Celery
from celery.signals import task_prerun, worker_ready
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("afterclick")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["audience", "postbacks"])


@task_prerun.connect
def drop_old_connection(**_: object) -> None:
    """Close the thread's connection if it is broken or CONN_MAX_AGE old, as Django does before a request."""
    close_old_connections()


@worker_ready.connect
def exclude_modules_from_garbage_collection(**_: object) -> None:
    """Collecting the objects of all imported modules again and again takes a third of a digest's time."""
    gc.collect()
    gc.freeze()
