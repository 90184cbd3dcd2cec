"""What a full table costs: intake with ten million stored events beside intake with a hundred thousand."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.journeys.product import Product

FEW = int(os.environ.get("BENCH_FEW_EVENTS", "100000"))
MANY = int(os.environ.get("BENCH_MANY_EVENTS", "10000000"))
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
    FROM generate_series(%s, %s) n,
        (SELECT * FROM audience_event WHERE name = 'progression' ORDER BY id DESC LIMIT 1) like_this
"""


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
