"""`make bench-pages`: how long the server takes for the integration page with a million attempts, a JSON line each.

Milliseconds, the median of 20 after three to warm up, through Django's own client: everything but the socket. Rows are
made by PostgreSQL itself, spread over 30 days. PAGES_ATTEMPTS=... for more or fewer, PAGES_DAYS=... for another spread.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

from config import services
from tests.benchmarks.__main__ import say

ATTEMPTS = int(os.environ.get("PAGES_ATTEMPTS", "1000000"))
DAYS = float(os.environ.get("PAGES_DAYS", "30"))
WARM, MEASURED = 3, 20
STATUSES = ("", "success", "retried", "failed")

# One event in a thousand is the rare one, and only in the older half: the hardest to find.
DELIVERIES = """
INSERT INTO postbacks_delivery (id, game_id, config_id, network, trigger, sent_as, event_id, event_at, config_version,
  state, reason, verdict, attempts_made, attempts_counted, finished_at, dead_after, created_at)
SELECT md5(n::text)::uuid, %(game)s, configs[1 + (n %% 10 >= 7)::int + (n %% 10 >= 9)::int],
  CASE WHEN n %% 10 = 9 THEN 'reddit' ELSE 'tiktok' END,
  CASE WHEN n > %(half)s AND n %% 1000 = 0 THEN 'level_up' WHEN n %% 3 = 0 THEN 'game_launch' ELSE 'purchase' END,
  '', md5(n::text), at, 1, CASE WHEN n %% 50 = 1 THEN 'failed' ELSE 'delivered' END, '',
  CASE WHEN n %% 50 = 1 THEN 'payload' ELSE 'success' END, 1, 1, at, at + interval '28 days', at
FROM (SELECT n, now() - n * (%(days)s * interval '1 day') / %(attempts)s AS at, %(configs)s::uuid[] AS configs
      FROM generate_series(1, %(attempts)s) AS n) made
"""
ROWS = """
INSERT INTO postbacks_deliveryattempt (delivery_id, config_id, number, config_version, started_at, finished_at, status,
  verdict, http_status, latency_ms, provider_code, message, request_id, payload)
SELECT id, config_id, 1, 1, event_at, event_at,
  CASE WHEN state = 'failed' THEN 'failed' WHEN trigger = 'purchase' AND get_byte(uuid_send(id), 0) < 5 THEN 'retried'
    ELSE 'success' END,
  CASE WHEN state = 'failed' THEN 'payload' ELSE 'success' END, 200, 40 + get_byte(uuid_send(id), 1), '0',
  CASE WHEN state = 'failed' THEN 'Invalid value for data.0.properties.value: not a number.' ELSE 'OK' END, event_id,
  jsonb_build_object('event_source', 'web', 'event_source_id', network, 'data', repeat(event_id, 8))
FROM postbacks_delivery ORDER BY event_at
"""
FOREIGN_KEYS = """
SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint WHERE contype = 'f'
  AND conrelid IN ('postbacks_delivery'::regclass, 'postbacks_deliveryattempt'::regclass)
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
        services.forget(folder / "state")


def measure() -> None:
    import django

    django.setup()
    from django.core.cache import cache

    from audience.models import Role
    from tests import factories, hub

    game = factories.game()
    client = hub.member(game, Role.MARKETER)
    started = time.monotonic()
    fill(game.pk, [str(config.pk) for config in configs(game)])
    say("fill_s", time.monotonic() - started, attempts=ATTEMPTS)
    root = f"/g/{game.slug}/integrations/"
    for name, path, headers in pages(root):
        figure(client, name, path, headers)
    cache.clear()
    seconds = timed(client, root + "tiktok/", {})
    say("page with nothing kept", 1000 * seconds)


def configs(game: Any) -> list[Any]:
    from audience import goals
    from tests import factories

    goals.follow(game=game, names=["level_up"])
    second = factories.config(game, pixel_id="D" * 20)
    return [factories.config(game), second, factories.config(game, network="reddit")]


def fill(game: int, configs: list[str]) -> None:
    from django.db import connection

    given = {"game": game, "configs": configs, "attempts": ATTEMPTS, "days": DAYS, "half": ATTEMPTS // 2}
    with connection.cursor() as cursor:
        # The database is thrown away, and checking three million foreign keys takes minutes.
        cursor.execute(FOREIGN_KEYS)
        for table, name in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        cursor.execute(DELIVERIES, given)
        cursor.execute(ROWS)
        cursor.execute("VACUUM ANALYZE")


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


def figure(client: Any, name: str, path: str, headers: dict[str, str]) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _ in range(WARM):
        timed(client, path, headers)
    took = [1000 * timed(client, path, headers) for _ in range(MEASURED)]
    with CaptureQueriesContext(connection) as seen:
        timed(client, path, headers)
    slowest = max(seen, key=lambda query: float(query["time"]))
    slowest_ms = round(1000 * float(slowest["time"]), 1)
    say(name, median(took), worst=round(max(took), 1), queries=len(seen), slowest_query_ms=slowest_ms)
    if median(took) > float(os.environ.get("PAGES_SHOW_OVER_MS", "1e9")):
        sys.stderr.write(slowest["sql"] + "\n")


def timed(client: Any, path: str, headers: dict[str, str]) -> float:
    started = time.perf_counter()
    answer = client.get(path, headers=headers)
    seconds = time.perf_counter() - started
    assert answer.status_code == 200, (path, answer.status_code)
    return seconds


if __name__ == "__main__":
    main()
