"""`python -m pytest -s -n 0 tests/benchmarks/overview.py`: server time of the overview, one JSON line per URL.

The game has 30 days of data: 1,000,000 attempts, deliveries and conversions of 100,000 people with two postbacks, and a
request every eight seconds (ATTEMPTS=... and REQUESTS=... for other sizes). `cold` is the first request of a process,
`value` the median of the 20 requests after it. The module name keeps it out of the test suite.
"""

import json
import os
import statistics
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from audience.database import clock
from audience.games.keys import create_key
from audience.games.new_game import create_game
from audience.storage import rollups
from postbacks.reporting.campaigns import refresh
from postbacks.reporting.rollups import ROLLUPS
from tests import factories, hub

ATTEMPTS = int(os.environ.get("ATTEMPTS", "1000000"))
REQUESTS = int(os.environ.get("REQUESTS", "334800"))
REPEATS = 20
SLUG = "busy"
URLS = (f"/g/{SLUG}/", f"/g/{SLUG}/?range=7d", f"/g/{SLUG}/?range=30d", f"/g/{SLUG}/start/")

# `n` counts backwards in time: row 1 is of this second, the last one 30 days old.
FILL = """
INSERT INTO audience_person (id, game_id, traits, trait_times, first_seen_at, last_seen_at)
SELECT md5('p' || n)::uuid, %(game)s, '{}', '{}', now() - n * interval '1 s', now() - n * interval '1 s'
FROM generate_series(0, 99999) n;
INSERT INTO audience_touch (game_id, person_id, network, click_key, click_id, clicked_at, message_id, campaign,
  page_url, referrer, ip, user_agent, browser_id)
SELECT %(game)s, md5('p' || n)::uuid, (ARRAY['tiktok', 'reddit', 'google'])[1 + n %% 3], 'c' || n, 'c' || n,
  now() - interval '40 days', 'm' || n, '{}', '', '', '', '', '' FROM generate_series(0, 99999) n;
INSERT INTO audience_conversion (id, game_id, person_id, trigger, message_id, event_day, event_at, created_at, user_id,
  value, currency, properties, context, integrations, consent_level, test, touch_id, reason, fanned_out_at)
SELECT md5('c' || n)::uuid, %(game)s, md5('p' || n %% 100000)::uuid, 'purchase', 'm' || n, (now() - n * %(step)s)::date,
  now() - n * %(step)s, now() - n * %(step)s, '', 9.99, (ARRAY['USD', 'EUR'])[1 + n %% 2], '{}', '{}', '{}', '', false,
  CASE WHEN n %% 5 > 0 THEN (SELECT min(id) FROM audience_touch) + n %% 100000 END,
  CASE WHEN n %% 5 > 0 THEN '' ELSE 'no_click' END, now()
FROM generate_series(1, %(attempts)s) n;
INSERT INTO postbacks_delivery (id, game_id, conversion_id, config_id, network, trigger, sent_as, event_id, event_at,
  config_version, state, reason, verdict, attempts_made, attempts_counted, dead_after, finished_at, created_at,
  may_have_arrived)
SELECT md5('d' || n)::uuid, %(game)s, md5('c' || n)::uuid, (%(configs)s::uuid[])[1 + n %% 2],
  (ARRAY['tiktok', 'reddit'])[1 + n %% 2], 'purchase', '', md5('c' || n), now() - n * %(step)s, 1,
  CASE WHEN n %% 100 = 0 THEN 'failed' ELSE 'delivered' END, '', '', 1, 1, now() + interval '7 days',
  now() - n * %(step)s, now() - n * %(step)s, false
FROM generate_series(1, %(attempts)s) n;
INSERT INTO postbacks_deliveryattempt (delivery_id, config_id, number, config_version, started_at, finished_at, status,
  verdict, http_status, latency_ms, provider_code, message, request_id, payload)
SELECT md5('d' || n)::uuid, (%(configs)s::uuid[])[1 + n %% 2], 1, 1, now() - n * %(step)s, now() - n * %(step)s,
  CASE WHEN n %% 100 = 0 THEN 'failed' ELSE 'success' END, CASE WHEN n %% 100 = 0 THEN 'payload' ELSE 'success' END,
  200, 50 + n %% 400, '0', '', '', '{"event": "Purchase"}' FROM generate_series(1, %(attempts)s) n;
INSERT INTO audience_batch (game_id, dialect, received_at, accepted, duplicates, rejected, event_ids, state, attempts,
  next_attempt_at, error)
SELECT %(game)s, 'immutable', now() - n * interval '31 days' / %(requests)s, 20, 0, (n %% 50 = 0)::int, '{}', 'done', 0,
  now(), '' FROM generate_series(1, %(requests)s) n;
"""


@pytest.mark.django_db(transaction=True)
def test_the_pages_of_a_busy_game() -> None:
    founder = hub.user("root", is_superuser=True)
    fill(founder)
    client = hub.signed_in(founder)
    for url in URLS:
        times = [request_ms(client, url) for _ in range(REPEATS + 1)]
        say(url, value=statistics.median(times[1:]), cold=times[0])


def fill(founder: object) -> None:
    """Insert the rows of one game, and analyse the tables, as autovacuum would have done."""
    game = create_game(name="Busy", slug=SLUG, created_by=founder)
    create_key(game=game, name="web")
    configs = [factories.config(game, network=network).pk for network in ("tiktok", "reddit")]
    parameters: dict[str, Any] = {"game": game.pk, "configs": configs, "attempts": ATTEMPTS, "requests": REQUESTS}
    parameters["step"] = timedelta(days=30) / ATTEMPTS
    with connection.cursor() as cursor:
        for statement in FILL.split(";\n"):
            if statement.strip():
                cursor.execute(statement, parameters)
        rollups.roll_up((*rollups.ROLLUPS, *ROLLUPS), now=clock.now())
        cursor.execute("VACUUM ANALYZE")
        while refresh.refresh():
            pass
        cursor.execute("VACUUM ANALYZE")


def request_ms(client: Client, url: str) -> float:
    """Return the milliseconds of one request, including middleware and rendering."""
    start = time.monotonic()
    assert client.get(url).status_code == 200
    return 1000 * (time.monotonic() - start)


def say(url: str, **milliseconds: float) -> None:
    figures = {name: round(value, 1) for name, value in milliseconds.items()}
    line = {"figure": f"page_ms {url}", **figures, "attempts": ATTEMPTS, "requests": REQUESTS}
    sys.stdout.write(json.dumps(line) + "\n")
