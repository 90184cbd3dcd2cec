"""`manage.py sandbox`: imitations of the ad networks on one local port, until Ctrl-C or SIGTERM."""

import signal
import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from postbacks.sandbox.server import Sandbox


class Command(BaseCommand):
    help = "Serve imitations of the ad networks' conversion APIs; GET / lists the controls."
    # Runs without the database and the rest of the project.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8010)
        parser.add_argument("--host", default="127.0.0.1")

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        try:
            sandbox = Sandbox(options["host"], options["port"], log=_line)
        except OSError as error:
            raise CommandError(f"Cannot listen on {options['host']}:{options['port']}: {error.strerror}.") from error
        with sandbox:
            _line(f"sandbox networks on {sandbox.url} (GET / lists the controls)")
            stopped.wait()


def _line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
