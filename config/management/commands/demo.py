"""`manage.py demo`: load the demo game and print how to use it."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from config.demo.loading import load


class Command(BaseCommand):
    help = "Load the demo game and print its address, logins and keys. Loading it again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        demo = load()
        if options["json"]:
            self.stdout.write(json.dumps(demo))
            return
        users = demo["users"]
        self.stdout.write(f"Hub              {demo['url']}/g/{demo['game']}/")
        for role, user in users.items():
            self.stdout.write(f"{role:<16} {user['email']}  {user['password']}")
        self.stdout.write(f"publishable key  {demo['publishable_key']}")
        self.stdout.write(f"secret key       {demo['secret_key']}")
        self.stdout.write(f"sandbox networks {demo['sandbox_url']}")
