#!/usr/bin/env python
"""Django's command line with services: it finds PostgreSQL and Valkey for a command, or starts them.

`up` is the supervisor behind `make run`, `forget` deletes its database; every other name is a Django command.
"""

import os
import sys
from secrets import token_urlsafe

import environ
from cryptography.fernet import Fernet
from django.core.management import execute_from_command_line

from config import services, supervisor
from config.quickstart.state import ServicesError
from config.quickstart.terminal import print_error

# Commands that need no database.
WITHOUT_SERVICES = frozenset(
    {"check", "collectstatic", "compilemessages", "diffsettings", "findstatic", "help", "makemessages",
     "makemigrations", "sandbox", "spectacular", "version", "--help", "-h", "--version"}
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Run one command. Returns the exit code; Django's commands raise SystemExit when they fail."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    environ.Env.read_env(services.BASE_DIR / ".env")
    command = argv[1] if len(argv) > 1 else "help"
    try:
        if command == "up":
            return supervisor.main()
        if command == "forget":
            return _forget()
        if command in WITHOUT_SERVICES or {"--help", "-h"} & set(argv):
            _set_defaults(_placeholders())
            execute_from_command_line(argv)
        else:
            _with_services(argv)
    except ServicesError as error:
        print_error(f"{error}")
        return 1
    return 0


def _with_services(argv: list[str]) -> None:
    folder = services.state_dir(os.environ)
    _set_defaults(services.running_addresses(folder))
    if not all(os.environ.get(name) for name in ("SECRET_KEY", "CREDENTIAL_KEYS")):
        _set_defaults(services.secrets(folder))
    with services.find_or_start(folder, environ=os.environ) as running:
        _set_defaults({"DATABASE_URL": running.database_url, "REDIS_URL": running.redis_url})
        execute_from_command_line(argv)


def _forget() -> int:
    folder = services.state_dir(os.environ)
    services.delete_database(folder)
    print_error(f"The database of {folder} was deleted; the keys in its secrets.json were not.")
    return 0


def _placeholders() -> dict[str, str]:
    """Return valid settings with which no server is contacted: port 1 refuses connections."""
    return {
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "SECRET_KEY": token_urlsafe(48),
        "CREDENTIAL_KEYS": Fernet.generate_key().decode(),
    }


def _set_defaults(values: dict[str, str]) -> None:
    """Set the environment variables of `values` that are unset or empty."""
    for name, value in values.items():
        if not os.environ.get(name):
            os.environ[name] = value


if __name__ == "__main__":
    sys.exit(main(sys.argv))
