"""`make bench`: one JSON line per figure, durable (fsync and synchronous_commit on), everything on this machine.

Absolute figures depend on the machine and the minute: compare ratios of one run. `copy_ceiling_eps` is one bare COPY of
the same rows into the same table with the same indexes, the maximum for PostgreSQL and the disk.
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
from tests.benchmarks import campaigns, endurance, growth, links, new_game, postbacks, wrk
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
        options = {"connections": CONNECTIONS, "seconds": SECONDS, "messages": messages, "dialect": dialect}
        return dict(wrk.load(port=product.port, key=key, folder=product.folder, **options))
    arguments = [str(product.port), key, str(CONNECTIONS), str(SECONDS), str(messages), dialect]
    command = [sys.executable, "-m", "tests.benchmarks.load", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


def copy_ceiling(url: str) -> float:
    """Return rows per second of a bare COPY of 50,000 stored events with new message ids, the best of three."""
    best = 0.0
    columns = (
        "game_id, day, message_id, kind, name, user_id, anonymous_id, device_id, session_id, group_id, links, event_at,"
        " received_at, key_id, dialect, surface, request_ip, consent_level, test, properties, traits, context,"
        " integrations, raw"
    )
    selected = columns.replace("message_id", "gen_random_uuid()::text")
    for _ in range(3):
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            query = f"COPY (SELECT {selected} FROM audience_event ORDER BY id DESC LIMIT 50000) TO STDOUT"
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
    """Return events per second that one worker digests of the pending batches, from the end of its first run."""
    with psycopg.connect(product.env["DATABASE_URL"], autocommit=True) as connection:

        def pending() -> int:
            query = "SELECT coalesce(sum(accepted), 0) FROM audience_batch WHERE state = 'pending'"
            return int(connection.execute(query).fetchone()[0])  # type: ignore[index]

        before_start = pending()
        product.start_workers()
        product.start_beat("beat-2")
        product.wait_for(lambda: pending() < before_start, seconds=60)
        start, before = time.monotonic(), pending()
        product.wait_for(lambda: not pending(), seconds=400)
        return before / (time.monotonic() - start)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="afterclick-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        # The URLs of the environment may be of a real installation.
        clean = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        with services.running(folder / "state", durable=True, environ=clean) as running:
            env = {**clean, **services.secrets(folder / "state")}
            env |= {"DATABASE_URL": running.database_url, "REDIS_URL": running.redis_url, **links.SETTINGS}
            # A separate process, since Django is not set up in this one; it prints to the same stdout.
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.parsing"],
                env={**env, "DJANGO_SETTINGS_MODULE": "config.settings"},
                check=True,
            )
            new_game.run_in_new_database(env)
            product = Product(env, folder)
            started = time.monotonic()
            try:
                product.start()
                say("cold_start_s", time.monotonic() - started)
                run(product)
            finally:
                product.stop()
        services.delete_database(folder / "state")
    campaigns.main()


def run(product: Product) -> None:
    postbacks.event_to_request(product, say)
    product.kill_workers()
    postbacks.per_second(product, say)
    # Intake alone: the digest is a separate figure.
    product.kill("beat")
    product.kill("web")
    product.start_web(workers=2)  # as in config/supervisor.py and docs/operations.md
    product.wait_for(lambda: product.answers(f"{product.url}/readyz"))
    # The load of all clients of a studio uses one key here, whose rate limit would be reached.
    product.manage("shell", "-c", "from audience.models import ApiKey; ApiKey.objects.update(rate_limit=1_000_000)")
    capacity = ingest(product)
    links.redirects(product, say)
    say("digest_eps", digest(product))
    endurance.sustained(product, say)
    product.kill_workers()
    product.kill("beat-2")
    growth.measure(product, say, lambda: _rate(load(product, 100, "immutable"), "messages"))
    product.start_workers()
    product.start_beat("beat-3")
    endurance.overload(product, say, capacity=capacity)


def ingest(product: Product) -> float:
    """Print both intake figures of each dialect as medians of turns; return events per second of Immutable batches."""
    load(product, 1, "immutable")  # warms up
    say("load_generator", 0, program="wrk" if wrk.is_installed() else "tests/benchmarks/load.py")
    turns = [_turn(product) for _ in range(TURNS)]
    say("copy_ceiling_eps", median(ceiling for ceiling, _ in turns), turns=[round(ceiling) for ceiling, _ in turns])
    for dialect, count in turns[0][1]:
        results = [(ceiling, loads[dialect, count]) for ceiling, loads in turns]
        rates = [_rate(load, "requests" if count == 1 else "messages") for _, load in results]
        more: dict[str, Any] = {name: median(load[name] for _, load in results) for name in ("p50_ms", "p99_ms")}
        refused = [load["refused"] for _, load in results]
        # load.py counts refusals by status, wrk counts all together.
        more["refused"] = sum(sum(counts.values()) if isinstance(counts, dict) else counts for counts in refused)
        more["turns"] = [round(rate) for rate in rates]
        ratio = median(rate / ceiling for rate, (ceiling, _) in zip(rates, results, strict=True))
        figure = "ingest_single_rps" if count == 1 else "ingest_batch100_eps"
        say(figure, median(rates), dialect=dialect, ceiling_ratio=round(ratio, 3), connections=CONNECTIONS, **more)
    return median(_rate(loads["immutable", 100], "messages") for _, loads in turns)


def _turn(product: Product) -> tuple[float, dict[tuple[str, int], dict[str, Any]]]:
    """Return the ceiling and the loads by (dialect, messages per request), measured within a minute."""
    loads = {(dialect, count): load(product, count, dialect) for count in (1, 100) for dialect in DIALECTS}
    return copy_ceiling(product.env["DATABASE_URL"]), loads


def _rate(figures: dict[str, Any], counted: str) -> float:
    return float(figures[counted] / figures["seconds"])


if __name__ == "__main__":
    main()
