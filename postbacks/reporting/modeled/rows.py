"""Reads the launches and clicks that a modeled match compares, by address, and their consent."""

import copy
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Min

from audience.models import Conversion, Game, ModeledMatch
from consent.models import Level
from postbacks.outbox import consent_levels, conversion_facts
from postbacks.reporting.modeled.matching import MAX_VISITORS, Launch, Visit
from postbacks.reporting.modeled.systems import system_of

# Of a visitor: the newest.
MAX_CLICKS = 50
# First launches of players without any click, whose address an ad was clicked from. An address of the event's context
# is the player's; that of its connection is, unless it came with a server key. `ip` null: the sender opted out. LIMIT
# forces an index lookup per row.
LAUNCHES = """
WITH launch AS MATERIALIZED (
  SELECT conversion.id, conversion.person_id, conversion.event_at, conversion.context, conversion.properties,
    CASE WHEN conversion.context ? 'ip' THEN conversion.context ->> 'ip'
      ELSE event.request_ip END AS address
  FROM audience_conversion AS conversion
  LEFT JOIN LATERAL (
    SELECT request_ip FROM audience_event AS event
    WHERE (event.game_id, event.day, event.message_id)
      = (conversion.game_id, conversion.event_day, conversion.message_id) AND NOT conversion.from_server
    LIMIT 1
  ) AS event ON true
  WHERE conversion.game_id = %(game)s AND conversion.event_at >= %(since)s AND trigger = 'game_launch'
    AND NOT conversion.test AND touch_id IS NULL AND reason = 'no_click'
    AND NOT EXISTS (SELECT FROM audience_touch AS own WHERE own.person_id = conversion.person_id)
)
SELECT id, person_id, event_at, address, context -> 'os', context -> 'platform', properties -> 'platform',
  context ->> 'user_agent'
FROM launch WHERE address <> '' AND address IN (
  SELECT ip FROM audience_touch WHERE game_id = %(game)s AND clicked_at >= %(clicked_since)s AND ip <> ''
)
"""
VISITS = """
SELECT id, person_id, clicked_at, ip, user_agent, EXISTS (
    SELECT FROM audience_conversion AS launch
    WHERE launch.person_id = ranked.person_id AND trigger = 'game_launch' AND NOT launch.test
  )
FROM (
  SELECT id, person_id, clicked_at, ip, user_agent,
    dense_rank() OVER (PARTITION BY ip ORDER BY person_id) AS visitor,
    row_number() OVER (PARTITION BY ip, person_id ORDER BY clicked_at DESC, id DESC) AS click
  FROM audience_touch
  WHERE game_id = %(game)s AND clicked_at >= %(clicked_since)s AND ip = ANY(%(addresses)s) AND NOT is_repeated
) AS ranked WHERE visitor <= %(visitors)s AND click <= %(clicks)s
"""


def launches_of(game: Game, *, since: datetime) -> list[Launch]:
    """Return the first launches since then that a click may belong to, in order of time."""
    rows = _fetch(LAUNCHES, {"game": game.pk, "since": since, "clicked_since": _clicked_since(game, since)})
    found = [
        Launch(pk, person_id, at, address, system_of(*_names(system), platform, stated, user_agent))
        for pk, person_id, at, address, system, platform, stated, user_agent in rows
    ]
    return sorted(found, key=lambda launch: (launch.at, launch.id))


def visits_of(game: Game, launches: Collection[Launch], *, since: datetime) -> list[Visit]:
    """Return the paid clicks from the addresses of these launches; of busy addresses a part."""
    params = {"game": game.pk, "clicked_since": _clicked_since(game, since), "visitors": MAX_VISITORS}
    params |= {"addresses": sorted({launch.address for launch in launches}), "clicks": MAX_CLICKS}
    return [
        Visit(pk, person_id, at, address, system_of(user_agent), is_player)
        for pk, person_id, at, address, user_agent, is_player in (_fetch(VISITS, params) if launches else [])
    ]


def taken_visitors(game: Game, visits: Collection[Visit], *, before: datetime) -> dict[uuid.UUID, datetime]:
    """Return {visitor: time of the first launch before that time that is matched with a click of this visitor}."""
    matched = ModeledMatch.objects.filter(
        game=game, touch__person__in={visit.person_id for visit in visits}, conversion__event_at__lt=before
    )
    times = matched.values_list("touch__person").annotate(at=Min("conversion__event_at")).order_by()
    return dict(times)


def with_consent(game: Game, launches: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return which of these launches have full consent that was stated or recorded, and no limited data use."""
    rows = list(Conversion.objects.filter(game=game, pk__in=launches))
    for row in rows:
        row.game = _strict(game)
    return _full([row for row in rows if not conversion_facts.is_limited(row)])


def clicks_with_consent(game: Game, clicks: Collection[tuple[int, uuid.UUID, datetime]]) -> set[int]:
    """Return the ids of those of the clicks (id, person, time) that have full consent that was stated or recorded."""
    # Levels are read for conversions. What a message with a click states is a decision at the time of the click.
    strict = _strict(game)
    by_key = {
        Conversion(game=strict, person_id=person_id, event_at=at, anonymous_id=""): pk for pk, person_id, at in clicks
    }
    full = _full(list(by_key))
    return {pk for conversion, pk in by_key.items() if conversion.pk in full}


def _full(rows: list[Conversion]) -> set[uuid.UUID]:
    return {pk for pk, level in consent_levels.levels(rows).items() if level == Level.FULL}


def _strict(game: Game) -> Game:
    """Return the game with strict consent: what nobody stated is no consent to a match."""
    strict = copy.copy(game)
    strict.strict_consent = True
    return strict


def _clicked_since(game: Game, since: datetime) -> datetime:
    return since - timedelta(hours=game.match_hours)


def _names(system: Any) -> tuple[Any, ...]:
    """Return what a context states as `os`: a text, or an object with a name."""
    return (system.get("name"),) if isinstance(system, dict) else (system,)


def _fetch(query: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
