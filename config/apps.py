from django.apps import AppConfig

from config.celery import app

__all__ = ["ConfigConfig", "app"]


class ConfigConfig(AppConfig):
    """Imported with the settings, so that `shared_task` finds the Celery application in every process."""

    name = "config"
    verbose_name = "Afterclick"
