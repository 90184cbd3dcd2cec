from django.apps import AppConfig

from config.celery import app

__all__ = ["ConfigConfig", "app"]


class ConfigConfig(AppConfig):
    """Imported with the settings, so that `shared_task` finds the Celery application in every process."""

    name = "config"
    verbose_name = "Afterclick"

    def ready(self) -> None:
        # Here, not at the top: both modules import models, which are not loaded yet up there.
        from allauth.mfa.signals import authenticator_added

        from config.account_forms import spend_activation

        authenticator_added.connect(spend_activation)
