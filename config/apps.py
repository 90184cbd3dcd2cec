from django.apps import AppConfig

from config.celery import app

__all__ = ["ConfigConfig", "app"]


class ConfigConfig(AppConfig):
    """Imports the Celery application in every process, so that `shared_task` finds it."""

    name = "config"
    verbose_name = "Afterclick"
