"""The effect of a large table: intake with ten million stored events compared with a hundred thousand.

Each has a separate database, and they take turns: filling takes minutes, in which the machine's speed may change.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import psycopg
from psycopg import sql

from tests.journeys.product import Product

FEW = int(os.environ.get("BENCH_FEW_EVENTS", "100000"))
MANY = int(os.environ.get("BENCH_MANY_EVENTS", "10000000"))
TURNS = 3
DAYS = 28
STEP = 500_000
# Seconds for PostgreSQL to write out the inserted rows.
SETTLE_SECONDS = 20.0
COLUMNS = (
    "kind, name, user_id, device_id, session_id, group_id, links, received_at, key_id, dialect, surface, request_ip,"
    " consent_level, test, properties, traits, context, integrations, raw"
)
# Distributed over four weeks of one game with a hundred thousand players; `event_at` is within `day`.
FILL = f"""
    INSERT INTO audience_event (game_id, day, message_id, anonymous_id, event_at, {COLUMNS})
    SELECT example.game_id, current_date - (n %% {DAYS})::int, gen_random_uuid()::text, 'old-' || n %% 100000,
        current_date - (n %% {DAYS})::int + n %% 86400 * interval '1 s', {COLUMNS}
    FROM generate_series(%s::int, %s::int) n,
        (SELECT * FROM audience_event WHERE name = 'progression' ORDER BY id DESC LIMIT 1) example
"""


def measure(product: Product, say: Callable[..., None], intake: Callable[[], float]) -> None:
    """Print the ratio. `intake` returns events per second; no process except web and sandbox may run."""
    url = product.env["DATABASE_URL"]
    urls = {"few": f"{url}_few", "many": url}
    rates: dict[str, list[float]] = {name: [] for name in urls}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE audience_event")
    intake()  # stores the example row for `fill`
    fill(product, FEW, say)
    product.kill("web")  # a database with connections cannot be copied
    _copy(url, "", "_template")
    fill(product, MANY, say)
    for _ in range(TURNS):
        _copy(url, "_template", "_few")  # without the events of the previous turn
        for name, database_url in urls.items():
            product.start_web(workers=2, env={"DATABASE_URL": database_url})
            product.wait_for(lambda: product.answers(f"{product.url}/readyz"))
            intake()  # warms up
            rates[name].append(intake())
            product.kill("web")
    product.start_web(workers=2)
    product.wait_for(lambda: product.answers(f"{product.url}/readyz"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE audience_batch SET state = 'done' WHERE state = 'pending'")
    few, many = median(rates["few"]), median(rates["many"])
    turns = {f"{name}_eps": [round(eps) for eps in values] for name, values in rates.items()}
    say("growth", many / few, **turns)


def _copy(url: str, source: str, target: str) -> None:
    """Copy a database; `source` and `target` are suffixes of the name of the database in `url`."""
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    names = {"source": sql.Identifier(name + source), "target": sql.Identifier(name + target)}
    with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {target}").format(**names))
        connection.execute(sql.SQL("CREATE DATABASE {target} TEMPLATE {source}").format(**names))


def fill(product: Product, upto: int, say: Callable[..., None]) -> None:
    """Insert digested events, without batches, until there are `upto`."""
    url = product.env["DATABASE_URL"]

    def add(start: int) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(FILL, [start, min(start + STEP - 1, upto)])

    with psycopg.connect(url, autocommit=True) as connection:
        stored = connection.execute("SELECT count(*) FROM audience_event").fetchone()[0]  # type: ignore[index]
        with ThreadPoolExecutor(2) as both_cores:
            list(both_cores.map(add, range(stored + 1, upto + 1, STEP)))
        connection.execute("VACUUM (ANALYZE) audience_event")
        size = connection.execute(
            "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'audience_event'::regclass"
        ).fetchone()[0]  # type: ignore[index]
        say("stored_events", max(upto, stored), gigabytes=round(float(size) / 1e9, 2))
    time.sleep(SETTLE_SECONDS)
