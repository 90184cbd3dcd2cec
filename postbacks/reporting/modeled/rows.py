"""Reads the launches and clicks that a modeled match compares, by address, and their consent."""

import copy
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection
from django.db.models import Min

from audience.models import Conversion, Game, ModeledMatch, Touch
from consent.models import Level
from postbacks.outbox import consent_levels, conversion_facts, privacy_flags
from postbacks.reporting.modeled import addresses
from postbacks.reporting.modeled.matching import MAX_PLAYERS, MAX_VISITORS, Launch, Visit
from postbacks.reporting.modeled.systems import system_of

# Of a visitor: the newest.
MAX_CLICKS = 50
# First launches of players without any click, whose address an ad was clicked from. An address of the event's context
# is the player's; that of its connection is, unless it came with a server key. `ip` null: the sender opted out. LIMIT
# forces an index lookup per row. Of an address with very many launches: the newest.
LAUNCHES = f"""
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
), compared AS (
  SELECT launch.*, {addresses.COMPARED.format(column="address")} AS compared FROM launch WHERE address <> ''
), ranked AS (
  SELECT *, row_number() OVER (PARTITION BY compared ORDER BY event_at DESC, id DESC) AS number FROM compared
  WHERE compared IN (
    SELECT {addresses.COMPARED.format(column="ip")} FROM audience_touch
    WHERE game_id = %(game)s AND clicked_at >= %(clicked_since)s AND ip <> ''
  )
)
SELECT id, person_id, event_at, compared, context -> 'os', context -> 'platform', properties -> 'platform',
  context -> 'user_agent'
FROM ranked WHERE number <= %(players)s
"""
VISITS = f"""
SELECT id, person_id, clicked_at, compared, user_agent, EXISTS (
    SELECT FROM audience_conversion AS launch
    WHERE launch.person_id = ranked.person_id AND trigger = 'game_launch' AND NOT launch.test
  ), network, audience_campaign_name(campaign)
FROM (
  SELECT id, person_id, clicked_at, compared, user_agent, network, campaign,
    dense_rank() OVER (PARTITION BY compared ORDER BY person_id) AS visitor,
    row_number() OVER (PARTITION BY compared, person_id ORDER BY clicked_at DESC, id DESC) AS click
  FROM (
    SELECT *, {addresses.COMPARED.format(column="ip")} AS compared FROM audience_touch
    WHERE game_id = %(game)s AND clicked_at >= %(clicked_since)s AND ip <> '' AND NOT is_repeated
  ) AS touch
  WHERE compared = ANY(%(addresses)s)
) AS ranked WHERE visitor <= %(visitors)s AND click <= %(clicks)s
"""
# The events of clicks that are test traffic, or may state a limited use of their data, with the facts that state it
# (postbacks/outbox/privacy_flags.py). The day of an event is that of its sender's clock.
RESTRICTED = """
SELECT touch.id, event.test, event.context, event.properties FROM audience_touch AS touch
CROSS JOIN LATERAL (
  SELECT test, context, properties FROM audience_event AS event
  WHERE event.game_id = touch.game_id AND event.message_id = touch.message_id
    AND event.day BETWEEN (touch.clicked_at AT TIME ZONE 'UTC')::date - 1
      AND (touch.clicked_at AT TIME ZONE 'UTC')::date + 1
  LIMIT 1
) AS event
WHERE touch.game_id = %(game)s AND touch.id = ANY(%(clicks)s)
  AND (event.test OR concat(event.context, event.properties) ~* 'limited|processing|gpc|privacy|uspstring')
"""
# A row that is being deleted is waited for, and left out. KEY SHARE delays nothing but deletions.
LOCK = "SELECT id FROM {table} WHERE game_id = %(game)s AND id = ANY(%(ids)s) ORDER BY id FOR KEY SHARE"


def launches_of(game: Game, *, since: datetime) -> list[Launch]:
    """Return the first launches since then that a click may belong to, in order of time; of busy addresses a part."""
    params = {"game": game.pk, "since": since, "clicked_since": _clicked_since(game, since), "players": MAX_PLAYERS}
    found = [
        Launch(pk, person_id, at, address, _system(*map(_json, stated)))
        for pk, person_id, at, address, *stated in _fetch(LAUNCHES, params)
        if addresses.is_usable(address)
    ]
    return sorted(found, key=lambda launch: (launch.at, launch.id))


def visits_of(game: Game, launches: Collection[Launch], *, since: datetime) -> list[Visit]:
    """Return the paid clicks from the addresses of these launches; of busy addresses a part."""
    params = {"game": game.pk, "clicked_since": _clicked_since(game, since), "visitors": MAX_VISITORS}
    params |= {"addresses": sorted({launch.address for launch in launches}), "clicks": MAX_CLICKS}
    return [
        Visit(pk, person_id, at, address, system_of(user_agent), *others)
        for pk, person_id, at, address, user_agent, *others in (_fetch(VISITS, params) if launches else [])
    ]


def taken_visitors(game: Game, visits: Collection[Visit], *, before: datetime) -> dict[uuid.UUID, datetime]:
    """Return {visitor: time of the first launch before that time that is matched with a click of this visitor}."""
    matched = ModeledMatch.objects.filter(
        game=game, touch__person__in={visit.person_id for visit in visits}, launched_at__lt=before
    )
    times = matched.values_list("touch__person").annotate(at=Min("launched_at")).order_by()
    return dict(times)


def with_consent(game: Game, launches: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return which of these launches have full consent that was stated or recorded, and no limited data use."""
    strict, columns = _strict(game), ("person", "event_at", "anonymous_id", "consent_level", "properties", "context")
    rows = list(Conversion.objects.filter(game=game, pk__in=launches).only("game", *columns))
    for row in rows:
        row.game = strict
    return _full([row for row in rows if not conversion_facts.is_limited(row)])


def clicks_with_consent(game: Game, clicks: Collection[tuple[int, uuid.UUID, datetime]]) -> set[int]:
    """Return the ids of those of the clicks (id, person, time) that have full consent that was stated or recorded, are
    no test traffic, and whose event states no limited data use."""
    # Levels are read for conversions. What a message with a click states is a decision at the time of the click.
    strict = _strict(game)
    by_key = {
        Conversion(game=strict, person_id=person_id, event_at=at, anonymous_id=""): pk for pk, person_id, at in clicks
    }
    full = _full(list(by_key))
    allowed = {pk for conversion, pk in by_key.items() if conversion.pk in full}
    return allowed - _restricted(game, allowed)


def _restricted(game: Game, clicks: Collection[int]) -> set[int]:
    """Return which of these clicks are test traffic, or have limited data use. Of old ones the event is deleted."""
    rows = _fetch(RESTRICTED, {"game": game.pk, "clicks": sorted(clicks)}) if clicks else []
    used = (
        (pk, is_test, privacy_flags.data_use(*map(_json, stated), always_limited=False))
        for pk, is_test, *stated in rows
    )
    return {pk for pk, is_test, use in used if is_test or (use and use.limited)}


def lock_present(model: type[Conversion | Touch], game: Game, ids: Collection[Any]) -> set[Any]:
    """Lock the rows with these ids against deletion, and return the ids of those that are not deleted yet."""
    query = LOCK.format(table=model._meta.db_table)
    return {pk for (pk,) in _fetch(query, {"game": game.pk, "ids": list(ids)})} if ids else set()


def players_with_clicks(game: Game, people: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return which of these people have an ad click of their own."""
    return set(Touch.objects.filter(game=game, person__in=people).values_list("person", flat=True))


def visitors_with_launches(game: Game, people: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return which of these people have launched the game."""
    return set(Conversion.objects.launches().filter(game=game, person__in=people).values_list("person", flat=True))


def _full(rows: list[Conversion]) -> set[uuid.UUID]:
    return {pk for pk, level in consent_levels.levels(rows).items() if level == Level.FULL}


def _strict(game: Game) -> Game:
    """Return the game with strict consent: what nobody stated is no consent to a match."""
    strict = copy.copy(game)
    strict.strict_consent = True
    return strict


def _clicked_since(game: Game, since: datetime) -> datetime:
    return since - timedelta(hours=game.match_hours)


def _system(stated: Any, *others: Any) -> str:
    """Return the operating system by the `os` of a context, which is a text or an object with a name, and others."""
    return system_of(stated.get("name") if isinstance(stated, dict) else stated, *others)


def _json(text: str | None) -> Any:
    """Return a value of jsonb, which Django's cursors return as text."""
    return None if text is None else orjson.loads(text)


def _fetch(query: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
