"""`make bench`: one JSON line per figure, durable (fsync and synchronous_commit on), everything on this machine.

Absolute figures are this machine's and this minute's: compare ratios of one run. `copy_ceiling_eps` is one bare
COPY of the same rows into the same table with the same indexes, what the disk and PostgreSQL allow at best.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from config import services
from tests.benchmarks import endurance, growth, new_game, postbacks, wrk
from tests.benchmarks.load import DIALECTS
from tests.benchmarks.output import say
from tests.journeys.product import Product

SECONDS = float(os.environ.get("BENCH_SECONDS", "6"))
CONNECTIONS = 32
# The machine may be half as fast a minute later: a figure and its ceiling are compared within a turn.
TURNS = 3


def load(product: Product, messages: int, dialect: str) -> dict[str, Any]:
    key = product.demo["publishable_key"]
    if wrk.is_installed():
        given = {"connections": CONNECTIONS, "seconds": SECONDS, "messages": messages, "dialect": dialect}
        return dict(wrk.load(port=product.port, key=key, folder=product.folder, **given))
    arguments = [str(product.port), key, str(CONNECTIONS), str(SECONDS), str(messages), dialect]
    command = [sys.executable, "-m", "tests.benchmarks.load", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def copy_ceiling(url: str) -> float:
    """Rows a second of a bare COPY, of 50,000 stored events under new message ids, best of three."""
    best = 0.0
    columns = (
        "game_id, day, message_id, kind, name, user_id, anonymous_id, device_id, session_id, group_id, links, event_at,"
        " received_at, key_id, dialect, surface, request_ip, consent_level, test, properties, traits, context,"
        " integrations, raw"
    )
    fresh = columns.replace("message_id", "gen_random_uuid()::text")
    for _ in range(3):
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            query = f"COPY (SELECT {fresh} FROM audience_event ORDER BY id DESC LIMIT 50000) TO STDOUT"
            with cursor.copy(query) as out:  # type: ignore[arg-type]
                rows = b"".join(bytes(block) for block in out)
            start = time.monotonic()
            with cursor.copy(f"COPY audience_event ({columns}) FROM STDIN") as into:  # type: ignore[arg-type]
                into.write(rows)
            count = cursor.rowcount
            connection.commit()
            best = max(best, count / (time.monotonic() - start))
    return best


def digest(product: Product) -> float:
    """Events a second of the waiting batches, by one worker, from the moment that it has finished its first run."""
    with psycopg.connect(product.env["DATABASE_URL"], autocommit=True) as connection:

        def left() -> int:
            query = "SELECT coalesce(sum(accepted), 0) FROM audience_batch WHERE state = 'pending'"
            return int(connection.execute(query).fetchone()[0])  # type: ignore[index]

        waiting = left()
        product.start_workers()
        product.start_beat("beat-2")
        product.wait_for(lambda: left() < waiting, seconds=60)
        start, before = time.monotonic(), left()
        product.wait_for(lambda: not left(), seconds=400)
        return before / (time.monotonic() - start)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="afterclick-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        # A URL of the environment may be somebody's real database.
        clean = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        with services.running(folder / "state", durable=True, environ=clean) as found:
            env = {**clean, **services.secrets(folder / "state")}
            env |= {"DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url}
            # A process of its own: only there is Django set up. stdout is ours, so its lines come out among them.
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.parsing"],
                env={**env, "DJANGO_SETTINGS_MODULE": "config.settings"},
                check=True,
            )
            new_game.in_database_of_its_own(env)
            product = Product(env, folder)
            started = time.monotonic()
            try:
                product.start()
                say("cold_start_s", time.monotonic() - started)
                run(product)
            finally:
                product.stop()
        services.delete_database(folder / "state")


def run(product: Product) -> None:
    postbacks.event_to_request(product, say)
    product.kill_workers()
    postbacks.per_second(product, say)
    # Intake alone: what the digest costs is its own figure.
    product.kill("beat")
    product.kill("web")
    product.start_web(workers=2)  # as config/supervisor.py and docs/operations.md have it
    product.wait_for(lambda: product.answers(f"{product.url}/readyz"))
    # One person's requests a second are limited; a studio's whole fleet is meant here.
    product.manage("shell", "-c", "from audience.models import ApiKey; ApiKey.objects.update(rate_limit=1_000_000)")
    capacity = ingest(product)
    say("digest_eps", digest(product))
    endurance.sustained(product, say)
    product.kill_workers()
    product.kill("beat-2")
    growth.measure(product, say, lambda: _rate(load(product, 100, "immutable"), "messages"))
    product.start_workers()
    product.start_beat("beat-3")
    endurance.overload(product, say, capacity=capacity)


def ingest(product: Product) -> float:
    """Both intake figures of each dialect beside the ceiling, in turns, medians; the Immutable batches'."""
    load(product, 1, "immutable")  # what a process does for the first time is no part of any figure
    say("load_generator", 0, program="wrk" if wrk.is_installed() else "tests/benchmarks/load.py")
    turns = [_turn(product) for _ in range(TURNS)]
    say("copy_ceiling_eps", median(ceiling for ceiling, _ in turns), turns=[round(ceiling) for ceiling, _ in turns])
    for dialect, count in turns[0][1]:
        every = [(ceiling, got[dialect, count]) for ceiling, got in turns]
        rates = [_rate(seen, "requests" if count == 1 else "messages") for _, seen in every]
        more: dict[str, Any] = {name: median(seen[name] for _, seen in every) for name in ("p50_ms", "p99_ms")}
        refused = [seen["refused"] for _, seen in every]
        # load.py counts them by their status, wrk all together.
        more["refused"] = sum(sum(one.values()) if isinstance(one, dict) else one for one in refused)
        more["turns"] = [round(rate) for rate in rates]
        ratio = median(rate / ceiling for rate, (ceiling, _) in zip(rates, every, strict=True))
        figure = "ingest_single_rps" if count == 1 else "ingest_batch100_eps"
        say(figure, median(rates), dialect=dialect, ceiling_ratio=round(ratio, 3), connections=CONNECTIONS, **more)
    return median(_rate(got["immutable", 100], "messages") for _, got in turns)


def _turn(product: Product) -> tuple[float, dict[tuple[str, int], dict[str, Any]]]:
    """The ceiling, and what every dialect took in, within the same minute."""
    got = {(dialect, count): load(product, count, dialect) for count in (1, 100) for dialect in DIALECTS}
    return copy_ceiling(product.env["DATABASE_URL"]), got


def _rate(seen: dict[str, Any], per: str) -> float:
    return float(seen[per] / seen["seconds"])


if __name__ == "__main__":
    main()
