"""Django's `createsuperuser`, which asks for an email address: users sign in with it, and their user name is made from
it. The audit log names the command as the actor.
"""

import os
import sys
from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.core.validators import validate_email

from audience.accounts import addresses, members
from config.shell_actor import command_actor


class Command(createsuperuser.Command):
    help = "Create an administrator of the installation, who signs in with an email address."

    def handle(self, *args: Any, **options: Any) -> Any:
        email = options["email"]
        if email is None and options["interactive"] and self._has_terminal():
            email = self._ask_for_email()
        elif not options["interactive"]:
            email = email or os.environ.get("DJANGO_SUPERUSER_EMAIL")
        if email:
            options["email"] = email = addresses.normalize(email)
            if problem := refusal(email):
                raise CommandError(problem)
            if options["username"] is None and "DJANGO_SUPERUSER_USERNAME" not in os.environ:
                options["username"] = members.free_username(email)
        with command_actor("createsuperuser"):
            return super().handle(*args, **options)

    def _has_terminal(self) -> bool:
        return not hasattr(self.stdin, "isatty") or self.stdin.isatty()

    def _ask_for_email(self) -> str:
        while True:
            try:
                email = addresses.normalize(input("Email address: "))
            except KeyboardInterrupt:
                self.stderr.write("\nOperation canceled.")
                sys.exit(1)
            problem = refusal(email)
            if not problem:
                return email
            self.stderr.write(f"Error: {problem}")


def refusal(email: str) -> str:
    """Return why an account cannot have this address, as a sentence; '' if it can."""
    try:
        validate_email(email)
    except ValidationError:
        return "Enter a valid email address."
    return f"An account for {email} already exists." if addresses.find_account(email) else ""
