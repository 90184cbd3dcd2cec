"""Server time of Campaigns and Cohorts with 5 million clicks and 2 million conversions; part of `make bench`.

They are of 90 days. `python -m tests.benchmarks.campaigns` runs it alone (CLICKS=... and CONVERSIONS=... for other
sizes). `value` is the 95th percentile of 40 requests in milliseconds, by Django's test client. `campaign_refresh_s` is
the time to compute all figures from the rows, `campaign_refresh_quarter_ms` that of the busiest quarter hour.
"""

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median, quantiles
from typing import Any
from zoneinfo import ZoneInfo

from tests.benchmarks import pages
from tests.benchmarks.output import say

CLICKS = int(os.environ.get("CLICKS", "5000000"))
CONVERSIONS = int(os.environ.get("CONVERSIONS", "2000000"))
DAYS = 90
ROWS_PER_STATEMENT = 500_000
WARM, MEASURED = 3, 40
LIMIT_MS = 150
TABLES = "('audience_touch'::regclass, 'audience_conversion'::regclass, 'audience_person'::regclass)"
TRIGGERED = ("audience_touch", "audience_conversion")
# Two of three clicks are a player's first. 20 campaigns with 60 ad groups and 240 ads, some with most of the clicks.
PEOPLE = """
INSERT INTO audience_person (id, game_id, traits, trait_times, first_seen_at, last_seen_at)
SELECT md5('p' || n)::uuid, %(game)s, '{}', '{}', now() - interval '90 days', now()
FROM generate_series(%(first)s, %(last)s) n WHERE n %% 3 < 2
"""
TOUCHES = """
INSERT INTO audience_touch (id, game_id, person_id, network, click_key, click_id, clicked_at, message_id, campaign,
  page_url, referrer, ip, user_agent, browser_id)
SELECT n, %(game)s, md5('p' || CASE WHEN n %% 3 < 2 THEN n ELSE n - 1 END)::uuid,
  (ARRAY['tiktok', 'reddit', 'google', 'meta'])[1 + ad %% 4], 'c' || n, 'c' || n,
  now() - %(days)s * interval '1 day' * (1 - n::float / %(clicks)s) * (1 - random() / 100), 'm' || n,
  jsonb_build_object('utm_campaign', 'campaign ' || ad %% 20, 'utm_term', 'group ' || ad %% 60,
    'utm_content', 'ad ' || ad),
  '', '', '', '', ''
FROM (SELECT n, floor(240 * power(random(), 2))::int AS ad FROM generate_series(%(first)s, %(last)s) n) AS numbered
"""
# Half of them launches; purchases of a tenth of the players, in two currencies.
CONVERTED = """
INSERT INTO audience_conversion (id, game_id, person_id, trigger, message_id, event_day, event_at, created_at, user_id,
  value, currency, properties, context, integrations, consent_level, test, touch_id, reason, fanned_out_at)
SELECT md5('c' || n)::uuid, %(game)s, person_id, CASE WHEN n %% 2 = 0 THEN 'game_launch' ELSE 'purchase' END, 'm' || n,
  at::date, at, at, '', CASE WHEN n %% 2 = 1 THEN 9.99 END,
  CASE WHEN n %% 2 = 1 THEN (ARRAY['USD', 'EUR'])[1 + n %% 3 / 2] ELSE '' END, '{}', '{}', '{}', '', false, touch.id,
  '', now()
FROM generate_series(%(first)s, %(last)s) n
CROSS JOIN LATERAL (
  SELECT CASE WHEN n %% 2 = 0 THEN n * %(step)s ELSE n * %(step)s %% (%(clicks)s / 10) * 10 END AS near
) AS chosen
JOIN audience_touch touch ON touch.id = near / 3 * 3 + 1
CROSS JOIN LATERAL (SELECT clicked_at + random() * least(interval '10 days', now() - clicked_at) AS at) AS moment
ON CONFLICT DO NOTHING
"""
MARKS = """
INSERT INTO audience_changedquarter (game_id, kind, starts_at)
SELECT DISTINCT game_id, kind, audience_quarter(clicked_at)
FROM audience_touch CROSS JOIN (VALUES ('campaign'), ('cohort')) AS kinds (kind)
UNION SELECT game_id, 'campaign', audience_quarter(event_at) FROM audience_conversion
"""


def main() -> None:
    pages.in_new_database("tests.benchmarks.campaigns")


def measure() -> None:
    import django

    django.setup()
    from audience.models import Role
    from tests import factories, hub

    game = factories.game()
    game.exchange_rates.create(currency="EUR", rate=Decimal("1.1"))
    client = hub.member(game, Role.MARKETER)
    started = time.monotonic()
    fill(game.pk)
    say("campaign_fill_s", time.monotonic() - started, clicks=CLICKS, conversions=CONVERSIONS)
    refresh_all()
    root = f"/g/{game.slug}/campaigns/"
    for path in paths():
        measured(f"campaigns_page_ms {path}", lambda path=path: pages.timed(client, root + path, {}))  # type: ignore[misc]
    other_zone(game)


def paths() -> list[str]:
    """The pages with the usual periods, all levels, a comparison, and lists behind a figure."""
    named = "network=tiktok&campaign=campaign+0"
    return [
        *(f"?range={days}" for days in (7, 30, 90)),
        *("?range=90&by=network", "?range=90&by=ad", "?range=30&compare=1&sort=revenue", f"?range=90&{named}&by=ad"),
        *("cohorts/?range=30", "cohorts/?range=90", f"cohorts/?range=90&{named}"),
        *(f"players/?range=90&{named}", f"conversions/?range=90&{named}&event=purchase"),
    ]


def other_zone(game: Any) -> None:
    """Measure the figures in a time zone that is not the game's, which have no rows by day."""
    from audience.database import clock
    from postbacks.reporting.campaigns import figures
    from postbacks.reporting.campaigns.periods import Period

    zone = ZoneInfo("Asia/Kolkata")
    today = clock.now().astimezone(zone).date()
    for days in (7, 30, 90):
        scope = figures.Scope(game=game, period=Period(today - timedelta(days=days - 1), today, zone))

        def read(scope: Any = scope) -> float:
            started = time.perf_counter()
            assert figures.rows_of(scope, depth=2)
            assert figures.by_day(scope)
            return time.perf_counter() - started

        measured(f"campaigns_other_zone_ms {days} days", read)


def measured(name: str, request: Callable[[], float]) -> None:
    for _ in range(WARM):
        request()
    times = [1000 * request() for _ in range(MEASURED)]
    p95 = quantiles(times, n=20)[-1]
    say(name, p95, median=round(median(times), 1), limit=LIMIT_MS, within=p95 < LIMIT_MS)


def fill(game: int) -> None:
    from django.db import connection

    params = {"game": game, "days": DAYS, "clicks": CLICKS, "step": max(1, CLICKS // CONVERSIONS)}
    with connection.cursor() as cursor:
        for table in TRIGGERED:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        rebuild = pages.without_indexes(cursor, TABLES)
        for statement, count in ((PEOPLE, CLICKS), (TOUCHES, CLICKS)):
            in_parts(cursor, statement, count, params)
        for statement in rebuild:
            cursor.execute(statement)
        cursor.execute("ANALYZE")
        in_parts(cursor, CONVERTED, CONVERSIONS, params)
        cursor.execute(MARKS)
        for table in TRIGGERED:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("VACUUM ANALYZE")


def in_parts(cursor: Any, statement: str, count: int, params: dict[str, Any]) -> None:
    for first in range(1, count + 1, ROWS_PER_STATEMENT):
        cursor.execute(statement, {**params, "first": first, "last": min(first + ROWS_PER_STATEMENT - 1, count)})


def refresh_all() -> None:
    from django.db import connection

    from postbacks.reporting.campaigns import refresh

    started, total = time.monotonic(), 0
    while done := refresh.refresh():
        total += done
    say("campaign_refresh_s", time.monotonic() - started, quarters=total)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SELECT starts_at FROM postbacks_advertquarter WHERE advert_id = 0 ORDER BY number DESC LIMIT 1")
        busiest: datetime = cursor.fetchone()[0]
        for kind in (refresh.CAMPAIGN, refresh.COHORT):
            cursor.execute(
                "INSERT INTO audience_changedquarter SELECT DISTINCT game_id, %s, %s::timestamptz FROM audience_touch",
                [kind, busiest],
            )
    started = time.monotonic()
    refresh.refresh()
    say("campaign_refresh_quarter_ms", 1000 * (time.monotonic() - started))


if __name__ == "__main__":
    main()
