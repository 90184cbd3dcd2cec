"""Django's `changepassword`; the audit log names the command as the actor."""

from typing import Any

from django.contrib.auth.management.commands import changepassword

from config.shell_actor import command_actor


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> Any:
        with command_actor("changepassword"):
            return super().handle(*args, **options)
