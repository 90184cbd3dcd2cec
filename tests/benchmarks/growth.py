"""What a full table costs: intake with ten million stored events beside intake with a hundred thousand.

Each has a database of its own and they take turns: filling takes minutes, in which the machine may become another.
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
# Seconds until PostgreSQL has written out what the filling left.
SETTLING = 20.0
COLUMNS = (
    "kind, name, user_id, device_id, session_id, group_id, links, received_at, key_id, dialect, surface, request_ip,"
    " consent_level, test, properties, traits, context, integrations, raw"
)
# Spread over four weeks of one game, a hundred thousand players; `event_at` lies on its day.
FILL = f"""
    INSERT INTO audience_event (game_id, day, message_id, anonymous_id, event_at, {COLUMNS})
    SELECT like_this.game_id, current_date - (n %% {DAYS})::int, gen_random_uuid()::text, 'old-' || n %% 100000,
        current_date - (n %% {DAYS})::int + n %% 86400 * interval '1 s', {COLUMNS}
    FROM generate_series(%s::int, %s::int) n,
        (SELECT * FROM audience_event WHERE name = 'progression' ORDER BY id DESC LIMIT 1) like_this
"""


def measure(product: Product, say: Callable[..., None], intake: Callable[[], float]) -> None:
    """`intake` gives the events a second that it brought to the web process. No process but web and sandbox may run."""
    url = product.env["DATABASE_URL"]
    urls = {"few": f"{url}_few", "many": url}
    seen: dict[str, list[float]] = {name: [] for name in urls}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE audience_event")
    intake()  # what the rows of `fill` are made like
    fill(product, FEW, say)
    product.kill("web")  # nobody may be connected to what is copied
    _copy(url, "", "_template")
    fill(product, MANY, say)
    for _ in range(TURNS):
        _copy(url, "_template", "_few")  # the turn before has left its events
        for name, each in urls.items():
            product.start_web(workers=2, env={"DATABASE_URL": each})
            product.wait_for(lambda: product.answers(f"{product.url}/readyz"))
            intake()  # what a process does for the first time
            seen[name].append(intake())
            product.kill("web")
    product.start_web(workers=2)
    product.wait_for(lambda: product.answers(f"{product.url}/readyz"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE audience_batch SET state = 'done' WHERE state = 'pending'")
    few, many = median(seen["few"]), median(seen["many"])
    turns = {f"{name}_eps": [round(eps) for eps in values] for name, values in seen.items()}
    say("growth", many / few, **turns)


def _copy(url: str, one: str, other: str) -> None:
    """The database of `url` with `one` behind its name, copied to that with `other`."""
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    names = {"one": sql.Identifier(name + one), "other": sql.Identifier(name + other)}
    with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {other}").format(**names))
        connection.execute(sql.SQL("CREATE DATABASE {other} TEMPLATE {one}").format(**names))


def fill(product: Product, upto: int, say: Callable[..., None]) -> None:
    """Events that came in long ago, until there are `upto`; without batches, since nobody waits for them."""
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
    time.sleep(SETTLING)
