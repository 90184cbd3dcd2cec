"""`make bench-pages`: how long the server takes for the integration page with a million attempts, a JSON line each.

Milliseconds, the median of 20 after three to warm up, through Django's own client: everything but the socket. `cpu_ms`
is what the web process took of it, the better figure on a machine that has other things to do. Rows are made by
PostgreSQL itself, spread over 30 days. `log_page_ms` sums it up: the 95th percentile of the looks at the page with
every combination of filters, 20 each. ATTEMPTS=10000000 (a quarter of an hour, 15 GB) measures a million, then ten
million for the comparison; PAGES_DAYS=... for another spread.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import quote

from config import services
from tests.benchmarks.output import say

FIRST = 1_000_000
ATTEMPTS = int(os.environ.get("ATTEMPTS", FIRST))
# Rows of one statement: the triggers of a statement keep its rows until it is through.
AT_ONCE = 500_000
DAYS = float(os.environ.get("PAGES_DAYS", "30"))
WARM, MEASURED = 3, 20
STATUSES = ("", "success", "retried", "failed")

# `n` runs backwards in time. One event in a thousand is the rare one, and only in the older half: the hardest to find.
MADE = """
WITH made AS (
  SELECT n, md5(n::text)::uuid AS id, now() - n * (%(days)s * interval '1 day') / %(attempts)s AS at,
    (%(configs)s::uuid[])[1 + (n %% 10 >= 7)::int + (n %% 10 >= 9)::int] AS config,
    CASE WHEN n %% 10 = 9 THEN 'reddit' ELSE 'tiktok' END AS network,
    CASE WHEN n > %(attempts)s / 2 AND n %% 1000 = 0 THEN 'level_up' WHEN n %% 3 = 0 THEN 'game_launch' ELSE 'purchase'
      END AS event
  FROM generate_series(%(last)s, %(first)s, -1) AS n
)
"""
DELIVERIES = f"""
INSERT INTO postbacks_delivery (id, game_id, config_id, network, trigger, sent_as, event_id, event_at, config_version,
  state, reason, verdict, attempts_made, attempts_counted, finished_at, dead_after, created_at)
{MADE} SELECT id, %(game)s, config, network, event, '', md5(n::text), at, 1,
  CASE WHEN n %% 50 = 1 THEN 'failed' ELSE 'delivered' END, '',
  CASE WHEN n %% 50 = 1 THEN 'payload' ELSE 'success' END, 1, 1, at, at + interval '28 days', at FROM made
"""
ROWS = f"""
INSERT INTO postbacks_deliveryattempt (delivery_id, config_id, number, config_version, started_at, finished_at, status,
  verdict, http_status, latency_ms, provider_code, message, request_id, payload)
{MADE} SELECT id, config, 1, 1, at, at,
  CASE WHEN n %% 50 = 1 THEN 'failed' WHEN event = 'purchase' AND get_byte(uuid_send(id), 0) < 5 THEN 'retried'
    ELSE 'success' END,
  CASE WHEN n %% 50 = 1 THEN 'payload' ELSE 'success' END, 200, 40 + get_byte(uuid_send(id), 1), '0',
  CASE WHEN n %% 50 = 1 THEN 'Invalid value for data.0.properties.value: not a number.' ELSE 'OK' END, md5(n::text),
  jsonb_build_object('event_source', 'web', 'event_source_id', network, 'data', repeat(md5(n::text), 8))
FROM made
"""
TABLES = "('postbacks_delivery'::regclass, 'postbacks_deliveryattempt'::regclass)"
CONSTRAINTS = f"""
SELECT conrelid::regclass::text, quote_ident(conname), contype, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype IN ('p', 'u', 'f') AND (conrelid IN {TABLES} OR confrelid IN {TABLES}) ORDER BY contype
"""
INDEXES = f"""
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid IN {TABLES} AND indexrelid NOT IN (SELECT conindid FROM pg_constraint WHERE contype IN ('p', 'u'))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="afterclick-pages-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        clean = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        with services.running(folder / "state", durable=False, environ=clean) as found:
            env = {**clean, **services.secrets(folder / "state"), "ALLOWED_HOSTS": "testserver"}
            env |= {"DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url}
            env |= {"DJANGO_SETTINGS_MODULE": "config.settings"}
            subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], env=env, check=True)
            # A process of its own: only there is Django set up.
            run = f"from {__spec__.name} import measure; measure()"
            subprocess.run([sys.executable, "-c", run], env=env, check=True)
        services.delete_database(folder / "state")


def measure() -> None:
    import django

    django.setup()
    from audience.models import Role
    from tests import factories, hub

    game = factories.game()
    client = hub.member(game, Role.MARKETER)
    ids = [str(config.pk) for config in configs(game)]
    for attempts in sorted({min(FIRST, ATTEMPTS), ATTEMPTS}):
        started = time.monotonic()
        fill(game.pk, ids, attempts)
        say("fill_s", time.monotonic() - started, attempts=attempts)
        look(client, f"/g/{game.slug}/integrations/", attempts)


def look(client: Any, root: str, attempts: int) -> None:
    """A line for each address, and log_page_ms for the pages of the log together."""
    looks: list[float] = []
    for name, path, headers in pages(root):
        took = figure(client, name, path, headers)
        looks += took if name.startswith("page") else []
    say("log_page_ms", quantiles(looks, n=20)[-1], attempts=attempts, median=round(median(looks), 1), looks=len(looks))


def configs(game: Any) -> list[Any]:
    from audience.models import goals
    from tests import factories

    goals.add_goal_events(game=game, names=["level_up"])
    second = factories.config(game, pixel_id="D" * 20)
    return [factories.config(game), second, factories.config(game, network="reddit")]


def fill(game: int, configs: list[str], attempts: int) -> None:
    """As many attempts, with a delivery each, instead of those there are."""
    from django.db import connection

    from audience.database import clock
    from audience.storage import rollups
    from postbacks.reporting.rollups import ROLLUPS

    given = {"game": game, "configs": configs, "attempts": attempts, "days": DAYS}
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE postbacks_delivery, postbacks_deliveryattempt CASCADE")
        cursor.execute("TRUNCATE postbacks_deliveryminute, postbacks_deliverytail")
        cursor.execute("TRUNCATE postbacks_attemptminute, postbacks_attempttail")
        rebuild = without_indexes(cursor)
        for last in range(attempts, 0, -AT_ONCE):
            part = {**given, "last": last, "first": max(last - AT_ONCE, 0) + 1}
            cursor.execute(DELIVERIES, part)
            cursor.execute(ROWS, part)
        for statement in rebuild:
            cursor.execute(statement)
        rollups.fold(ROLLUPS, now=clock.now())
        cursor.execute("VACUUM ANALYZE")


def without_indexes(cursor: Any) -> list[str]:
    """Drop them, since rows go in ten times as fast; the statements that make them again. Foreign keys stay away: the
    database is thrown away, and checking thirty million of them takes minutes."""
    rebuild = []
    cursor.execute(CONSTRAINTS)
    for table, name, kind, definition in cursor.fetchall():
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        if kind != "f":
            rebuild.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    cursor.execute(INDEXES)
    for name, definition in cursor.fetchall():
        cursor.execute(f"DROP INDEX {name}")
        rebuild.append(definition)
    return rebuild


def pages(root: str) -> list[tuple[str, str, dict[str, str]]]:
    """(figure, path, headers): every combination of the filters, a page deep in the log, and what refreshes itself."""
    page = root + "tiktok/"
    asked = {"HX-Request": "true"}
    found: list[tuple[str, str, dict[str, str]]] = [("integrations", root, {}), ("page", page, {})]
    ranges = ("1h", "24h", "7d", "30d")
    for period, status, event in itertools.product(ranges, STATUSES, ("", "purchase", "level_up")):
        query = f"?range={period}&status={status}&event={event}"
        found.append((f"page {query}", page + query, {}))
    middle = quote(f"{(datetime.now(UTC) - timedelta(days=DAYS / 2)).isoformat()}~0")
    for query in ("", "&status=failed", "&event=purchase", "&event=level_up"):
        found.append((f"page in the middle, {query}", f"{page}?range=30d{query}&before={middle}", {}))
    return [*found, ("rows", page, {**asked, "HX-Target": "rows"}), ("state", page, {**asked, "HX-Target": "state"})]


def figure(client: Any, name: str, path: str, headers: dict[str, str]) -> list[float]:
    """The milliseconds of each look."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _ in range(WARM):
        timed(client, path, headers)
    started = time.process_time()
    took = [1000 * timed(client, path, headers) for _ in range(MEASURED)]
    cpu_ms = 1000 * (time.process_time() - started) / MEASURED
    with CaptureQueriesContext(connection) as seen:
        timed(client, path, headers)
    slowest = max(seen, key=lambda query: float(query["time"]))
    slowest_ms = round(1000 * float(slowest["time"]), 1)
    more = {"cpu_ms": round(cpu_ms, 1), "queries": len(seen), "slowest_query_ms": slowest_ms}
    say(name, median(took), worst=round(max(took), 1), **more)
    if median(took) > float(os.environ.get("PAGES_SHOW_OVER_MS", "1e9")):
        sys.stderr.write(slowest["sql"] + "\n")
    return took


def timed(client: Any, path: str, headers: dict[str, str]) -> float:
    started = time.perf_counter()
    answer = client.get(path, headers=headers)
    seconds = time.perf_counter() - started
    assert answer.status_code == 200, (path, answer.status_code)
    return seconds


if __name__ == "__main__":
    main()
