"""The digest of a new game's first events, compared with a game for which PostgreSQL has statistics.

`python -m tests.benchmarks.new_game` prints one JSON line (`make bench` runs it too). The full game has 200,000 players
(BENCH_FULL_GAME_PLAYERS) and is analyzed once; autovacuum is off, since it does not run in the first minutes of a game.
In turns, 30,000 events (BENCH_NEW_GAME_EVENTS) of new players are digested in the full game and in a game that was just
created. `value` is the new game's time per event divided by the full game's; the exit code is 1 above ALLOWED.

A second line is for shared machines: the time per event in the full game if one player of twenty uses the device of
another, divided by the time if every player has a separate device.
"""

import gc
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
# Messages of a request, and requests digested by one run: those of 150 ms at some thousand events per second.
BATCH_SIZE = 100
REQUESTS = 10
KINDS = 3
# One of so many players uses the device of the previous player.
SHARED_BY = 20

FILL = """
INSERT INTO audience_person (id, game_id, traits, trait_times, first_seen_at, last_seen_at)
SELECT md5('full' || n)::uuid, %(game)s, '{}', '{}', now(), now() FROM generate_series(1, %(players)s) n;
INSERT INTO audience_identity (game_id, person_id, namespace, value, first_seen_at)
SELECT %(game)s, md5('full' || n)::uuid, namespace, namespace || n, now()
FROM generate_series(1, %(players)s) n, (VALUES ('anonymous'), ('user')) kinds (namespace)
"""
AUTOVACUUM_OFF = """
DO $$ DECLARE name regclass; BEGIN
  FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
  LOOP EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', name); END LOOP;
END $$
"""


def messages(prefix: str, first: int) -> list[dict[str, Any]]:
    """BATCH_SIZE messages of new players: a page, an identify and a launch of each.

    With a prefix that begins with "devices" they have a device id, with "shared" some have the device id of another.
    """
    return [_message(prefix, number // KINDS, number % KINDS) for number in range(first, first + BATCH_SIZE)]


def _device(prefix: str, number: int) -> dict[str, str]:
    if not prefix.startswith(("devices", "shared")):
        return {}
    is_shared = prefix.startswith("shared") and number % SHARED_BY == 1
    return {"deviceId": f"d-{prefix}-{number - is_shared}"}


def _message(prefix: str, number: int, kind: int) -> dict[str, Any]:
    player = f"{prefix}-{number}"
    fields: tuple[dict[str, Any], ...] = (
        {"type": "page", "anonymousId": f"a-{player}"},
        {"type": "identify", "anonymousId": f"a-{player}", "userId": f"u-{player}"},
        {"type": "track", "anonymousId": f"a-{player}", "userId": f"u-{player}", "eventName": "game_launch"},
    )
    return {
        **fields[kind],
        **_device(prefix, number),
        "messageId": str(uuid.uuid4()),
        "eventTimestamp": datetime.now(UTC).isoformat(),
        "context": {"library": "bench", "libraryVersion": "1.0.0"},
    }


def measure() -> float:
    """Print the figures and return the first. Requires Django to be set up, and an empty migrated database."""
    from django.db import connection

    from audience.games.keys import create_key
    from audience.models import Game

    games = [Game.objects.create(name=f"Game {number}", slug=f"game-{number}") for number in range(TURNS + 1)]
    keys = [create_key(game=game, name="bench").value for game in games]
    with connection.cursor() as cursor:
        cursor.execute(AUTOVACUUM_OFF)
        cursor.execute(FILL, {"game": games[0].pk, "players": PLAYERS})
        cursor.execute("ANALYZE")
    digest_us(keys[0], "warm", BATCH_SIZE * REQUESTS)
    gc.freeze()  # as config/celery.py does in a worker
    steady, new = [], []
    for turn in range(TURNS):
        steady.append(digest_us(keys[0], f"steady-{turn}", EVENTS))
        new.append(digest_us(keys[turn + 1], f"new-{turn}", EVENTS))
    ratio = median(new) / median(steady)
    turns = {"steady_us": [round(us) for us in steady], "new_us": [round(us) for us in new]}
    say("digest_new_game", ratio, allowed=ALLOWED, events=EVENTS, players=PLAYERS, **turns)
    separate = [digest_us(keys[0], f"devices-{turn}", EVENTS) for turn in range(TURNS)]
    shared = [digest_us(keys[0], f"shared-{turn}", EVENTS) for turn in range(TURNS)]
    turns = {"own_us": [round(us) for us in separate], "shared_us": [round(us) for us in shared]}
    say("digest_shared_devices", median(shared) / median(separate), events=EVENTS, players=PLAYERS, **turns)
    return ratio


def digest_us(key: str, prefix: str, events: int) -> float:
    """Return the digest's microseconds per event for `events` new events, REQUESTS requests at a time."""
    from django.test import Client

    from audience.digest import queue

    client, seconds = Client(headers={"x-immutable-publishable-key": key}), 0.0
    for first in range(0, events, BATCH_SIZE * REQUESTS):
        for request in range(first, first + BATCH_SIZE * REQUESTS, BATCH_SIZE):
            body = {"messages": messages(prefix, request)}
            answer = client.post("/v1/audience/messages", body, content_type="application/json")
            assert answer.json()["accepted"] == BATCH_SIZE, answer.content[:1000]
        start = time.perf_counter()
        assert queue.drain() == REQUESTS
        seconds += time.perf_counter() - start
    return seconds / events * 1e6


def run_in_new_database(env: dict[str, str]) -> int:
    """Run this module in a new database on the server of `env`, dropped afterward; return the exit code."""
    url = env["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench_new_game")
        try:
            parts = psycopg.conninfo.conninfo_to_dict(url)
            address = f"postgres://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/bench_new_game"
            env = {**env, "DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "config.settings"}
            env |= {"ALLOWED_HOSTS": "testserver", "LOG_FORMAT": "json"}
            manage = [sys.executable, str(services.BASE_DIR / "manage.py"), "migrate", "--verbosity", "0"]
            subprocess.run(manage, env=env, check=True)
            return subprocess.run([sys.executable, "-m", __spec__.name, "measure"], env=env, check=False).returncode
        finally:
            connection.execute("DROP DATABASE bench_new_game WITH (FORCE)")


def main() -> int:
    if "measure" in sys.argv:
        import django

        django.setup()
        return int(measure() > ALLOWED)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afterclick-bench-")))
        folder.chmod(0o711)
        clean = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        stack.callback(services.delete_database, folder / "state")
        running = stack.enter_context(services.running(folder / "state", durable=True, environ=clean))
        env = {**clean, **services.secrets(folder / "state")}
        return run_in_new_database({**env, "DATABASE_URL": running.database_url, "REDIS_URL": running.redis_url})


if __name__ == "__main__":
    sys.exit(main())
