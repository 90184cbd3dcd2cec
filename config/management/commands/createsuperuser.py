"""Django's `createsuperuser`; the audit log names the command as the actor."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from config.shell_actor import command_actor


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> Any:
        with command_actor("createsuperuser"):
            return super().handle(*args, **options)
