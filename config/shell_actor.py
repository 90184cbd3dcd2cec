"""Who changes an account from the shell, for the audit log: there is no request to name them."""

import getpass
from contextlib import AbstractContextManager
from typing import Any

from auditlog.context import set_extra_data


def command_actor(command: str) -> AbstractContextManager[Any]:
    """While it is open, entries are by this command and the user of the machine who runs it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    found: AbstractContextManager[Any] = set_extra_data({"actor_email": f"manage.py {command} ({user})"})
    return found
