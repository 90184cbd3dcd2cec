"""The Celery application. The broker only wakes workers up; every piece of work is a database row."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("afterclick")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["audience", "postbacks"])
