"""`manage.py demo`: load the demo game and print how to use it."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from config.demo import load


class Command(BaseCommand):
    help = "Load the demo game (again: it changes nothing that is there) and say how to use it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        facts = load()
        if options["json"]:
            self.stdout.write(json.dumps(facts))
            return
        users = facts["users"]
        self.stdout.write(f"Hub              {facts['url']}/g/{facts['game']}/")
        for role, user in users.items():
            self.stdout.write(f"{role:<16} {user['email']}  {user['password']}")
        self.stdout.write(f"publishable key  {facts['publishable_key']}")
        self.stdout.write(f"secret key       {facts['secret_key']}")
        self.stdout.write(f"sandbox networks {facts['sandbox_url']}")
