"""What a game's first events cost the digest, beside those of a game that PostgreSQL has statistics of.

`python -m tests.benchmarks.new_game` prints one JSON line (`make bench` runs it too). The full game has 200,000 players
(BENCH_FULL_GAME_PLAYERS) and is analysed once; autovacuum is off, as it is in effect for the first minutes of a game.
Then, in turns, 30,000 events (BENCH_NEW_GAME_EVENTS) of new players are digested in the full game, the steady figure,
and as many in a game made a moment ago. `value` is the new game's time per event divided by the full game's; the exit
code is 1 above ALLOWED.

A second line is for machines that players share: the time per event in the full game if one player of twenty uses the
device of another, divided by that if each has a device of their own.
"""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from config import services
from tests.benchmarks.output import say

EVENTS = int(os.environ.get("BENCH_NEW_GAME_EVENTS", "30000"))
PLAYERS = int(os.environ.get("BENCH_FULL_GAME_PLAYERS", "200000"))
TURNS = 3
ALLOWED = 1.5
# Messages of a request, and requests digested in one go: what comes in within 150 ms at some thousand events a second.
TOGETHER = 100
REQUESTS = 10
KINDS = 3
# Of so many players one uses the device of the player before.
SHARED_BY = 20

FILL = """
INSERT INTO audience_person (id, game_id, traits, trait_times, first_seen_at, last_seen_at)
SELECT md5('full' || n)::uuid, %(game)s, '{}', '{}', now(), now() FROM generate_series(1, %(players)s) n;
INSERT INTO audience_identity (game_id, person_id, namespace, value, first_seen_at)
SELECT %(game)s, md5('full' || n)::uuid, namespace, namespace || n, now()
FROM generate_series(1, %(players)s) n, (VALUES ('anonymous'), ('user')) kinds (namespace)
"""
AUTOVACUUM_OFF = """
DO $$ DECLARE found regclass; BEGIN
  FOR found IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
  LOOP EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', found); END LOOP;
END $$
"""


def messages(prefix: str, first: int) -> list[dict[str, Any]]:
    """TOGETHER messages of players nobody has seen: each comes, signs in and launches the game.

    With a prefix that begins with "devices" they state a device too, with "shared" some of them that of another.
    """
    return [_message(prefix, number // KINDS, number % KINDS) for number in range(first, first + TOGETHER)]


def _device(prefix: str, number: int) -> dict[str, str]:
    if not prefix.startswith(("devices", "shared")):
        return {}
    is_shared = prefix.startswith("shared") and number % SHARED_BY == 1
    return {"deviceId": f"d-{prefix}-{number - is_shared}"}


def _message(prefix: str, number: int, kind: int) -> dict[str, Any]:
    player = f"{prefix}-{number}"
    said: tuple[dict[str, Any], ...] = (
        {"type": "page", "anonymousId": f"a-{player}"},
        {"type": "identify", "anonymousId": f"a-{player}", "userId": f"u-{player}"},
        {"type": "track", "anonymousId": f"a-{player}", "userId": f"u-{player}", "eventName": "game_launch"},
    )
    return {
        **said[kind],
        **_device(prefix, number),
        "messageId": str(uuid.uuid4()),
        "eventTimestamp": datetime.now(UTC).isoformat(),
        "context": {"library": "bench", "libraryVersion": "1.0.0"},
    }


def measure() -> float:
    """Prints the figure and returns it. Django is set up, its database migrated and empty."""
    from django.db import connection

    from audience.games.keys import create_key
    from audience.models import Game

    games = [Game.objects.create(name=f"Game {number}", slug=f"game-{number}") for number in range(TURNS + 1)]
    keys = [create_key(game=game, name="bench").value for game in games]
    with connection.cursor() as cursor:
        cursor.execute(AUTOVACUUM_OFF)
        cursor.execute(FILL, {"game": games[0].pk, "players": PLAYERS})
        cursor.execute("ANALYZE")
    digest_us(keys[0], "warm", TOGETHER * REQUESTS)
    steady, new = [], []
    for turn in range(TURNS):
        steady.append(digest_us(keys[0], f"steady-{turn}", EVENTS))
        new.append(digest_us(keys[turn + 1], f"new-{turn}", EVENTS))
    ratio = median(new) / median(steady)
    turns = {"steady_us": [round(each) for each in steady], "new_us": [round(each) for each in new]}
    say("digest_new_game", ratio, allowed=ALLOWED, events=EVENTS, players=PLAYERS, **turns)
    own = [digest_us(keys[0], f"devices-{turn}", EVENTS) for turn in range(TURNS)]
    shared = [digest_us(keys[0], f"shared-{turn}", EVENTS) for turn in range(TURNS)]
    turns = {"own_us": [round(each) for each in own], "shared_us": [round(each) for each in shared]}
    say("digest_shared_devices", median(shared) / median(own), events=EVENTS, players=PLAYERS, **turns)
    return ratio


def digest_us(key: str, prefix: str, events: int) -> float:
    """Microseconds that the digest takes per event, of so many new ones, a few requests at a time."""
    from django.test import Client

    from audience.digest import queue

    client, took = Client(headers={"x-immutable-publishable-key": key}), 0.0
    for first in range(0, events, TOGETHER * REQUESTS):
        for request in range(first, first + TOGETHER * REQUESTS, TOGETHER):
            body = {"messages": messages(prefix, request)}
            answer = client.post("/v1/audience/messages", body, content_type="application/json")
            assert answer.json()["accepted"] == TOGETHER, answer.content[:1000]
        start = time.perf_counter()
        assert queue.drain() == REQUESTS
        took += time.perf_counter() - start
    return took / events * 1e6


def in_database_of_its_own(env: dict[str, str]) -> int:
    """Run this module in a database beside that of `env`, which is dropped afterwards; the exit code."""
    url = env["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench_new_game")
        try:
            own = psycopg.conninfo.conninfo_to_dict(url)
            address = f"postgres://{own['user']}:{own['password']}@{own['host']}:{own['port']}/bench_new_game"
            inside = {**env, "DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "config.settings"}
            inside |= {"ALLOWED_HOSTS": "testserver", "LOG_FORMAT": "json"}
            manage = [sys.executable, str(services.BASE_DIR / "manage.py"), "migrate", "--verbosity", "0"]
            subprocess.run(manage, env=inside, check=True)
            return subprocess.run([sys.executable, "-m", __spec__.name, "inside"], env=inside, check=False).returncode
        finally:
            connection.execute("DROP DATABASE bench_new_game WITH (FORCE)")


def main() -> int:
    if "inside" in sys.argv:
        import django

        django.setup()
        return int(measure() > ALLOWED)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afterclick-bench-")))
        folder.chmod(0o711)
        clean = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        stack.callback(services.delete_database, folder / "state")
        found = stack.enter_context(services.running(folder / "state", durable=True, environ=clean))
        env = {**clean, **services.secrets(folder / "state")}
        return in_database_of_its_own({**env, "DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url})


if __name__ == "__main__":
    sys.exit(main())
