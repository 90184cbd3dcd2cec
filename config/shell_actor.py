"""The actor in the audit log of changes made from the shell, where there is no request."""

import getpass
from contextlib import AbstractContextManager
from typing import Any

from auditlog.context import set_extra_data


def command_actor(command: str) -> AbstractContextManager[Any]:
    """Return a context in which audit entries name this command and the operating system user who runs it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    context: AbstractContextManager[Any] = set_extra_data({"actor_email": f"manage.py {command} ({user})"})
    return context
