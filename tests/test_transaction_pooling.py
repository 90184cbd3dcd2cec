"""The product works behind a pooler that uses another connection for every transaction."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connection

from config import services
from postbacks.models import AlertHook
from tests import factories, pooler

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def pooled() -> Iterator[str]:
    """The address of the test's own database by way of a pooler."""
    own = connection.get_connection_params()
    url = f"postgres://{own['user']}:{own['password']}@{own['host']}:{own['port']}/{own['dbname']}"
    with pooler.pooling(url) as address:
        yield address


def manage(url: str, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command,
        cwd=services.BASE_DIR,
        env={**os.environ, "DATABASE_URL": url, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_pooler_drops_the_state_of_a_session(pooled: str) -> None:
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as through:
        through.execute("SET application_name = 'me'")
        seen = {through.execute("SELECT pg_backend_pid()").fetchone() for _ in range(6)}
        assert len(seen) == pooler.SERVERS
        names = {through.execute("SHOW application_name").fetchone() for _ in range(3)}
        assert len(names) == 2
        with through.transaction():
            assert len({through.execute("SELECT pg_backend_pid()").fetchone() for _ in range(3)}) == 1


def test_the_keys_of_credentials_are_rotated(pooled: str) -> None:
    game = factories.game()
    for number in range(3):
        factories.config(game, pixel_id=f"PIXEL{number:015}", credential={"access_token": f"token-{number}"})
        AlertHook.objects.create(game=game, url=f"https://chat.example/{number}", secret={"key": f"secret-{number}"})
    fresh, old = Fernet.generate_key().decode(), settings.CREDENTIAL_KEYS[0]

    done = manage(pooled, "rotate_credential_keys", CREDENTIAL_KEYS=f"{fresh},{old}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "postbacks: 3 re-encrypted, 0 already under the first key, 0 unreadable"
    with connection.cursor() as cursor:
        cursor.execute("SELECT credential FROM postbacks_postbackconfig ORDER BY pixel_id")
        opened = [json.loads(Fernet(fresh).decrypt(sealed.encode())) for (sealed,) in cursor.fetchall()]
    assert opened == [{"access_token": f"token-{number}"} for number in range(3)]

    again = manage(pooled, "rotate_credential_keys", CREDENTIAL_KEYS=f"{fresh},{old}")
    assert again.stdout.splitlines()[0] == "postbacks: 0 re-encrypted, 3 already under the first key, 0 unreadable"


def test_no_query_opens_a_cursor_on_the_server(pooled: str) -> None:
    """`.iterator()` does by default, and each of its fetches may reach another connection."""
    for number in range(5):
        factories.game(name=f"Game {number}")
    program = (
        "import django; django.setup(); from django.db import connection; from audience.models import Game\n"
        "for game in Game.objects.order_by('pk').iterator(chunk_size=2): print(game.name, Game.objects.count())"
    )
    env = {**os.environ, "DATABASE_URL": pooled, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=env, cwd=services.BASE_DIR, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"Game {number} 5" for number in range(5)])


@pytest.mark.parametrize("command", [["partitions", "--ahead", "9"], ["prune"], ["audit", "--json"]], ids=" ".join)
def test_the_other_commands_run_too(pooled: str, command: list[str]) -> None:
    done = manage(pooled, *command)
    assert done.returncode == 0, done.stderr
    assert "rror" not in done.stderr
