"""The consent in force for conversions: the lower of the level at the event's time and the newest decision after it."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from audience.digest.ownership import OWNER_AT
from audience.digest.stated_consent import LEVEL
from audience.models import Conversion
from audience.models.people import ANONYMOUS
from consent.decisions import LOWEST_FIRST, effective_level
from consent.models import STATED, Level, source_label

ORDER_OF_LEVELS = "array_position(ARRAY['none', 'anonymous', 'full'], {level})"
OWNED = f"bound.person_id = ({OWNER_AT.format(identity='bound.identity_id', at='{at}')})"
# Per conversion and anonymous id of its person one index lookup for the newest decision, and one for the newest at the
# time of the event. Of an id with several owners only the decisions made while it was this person's count.
NEWEST = f"""
WITH asked AS (SELECT * FROM jsonb_to_recordset(%(rows)s) AS asked (id uuid, person_id uuid, event_at timestamptz)),
known AS (
  SELECT asked.id, asked.event_at, asked.person_id, one.id AS identity_id, one.game_id, one.value, one.owners
  FROM asked JOIN audience_identity one ON one.person_id = asked.person_id
  WHERE namespace = '{ANONYMOUS}' AND owners NOT IN ('several', 'other')
  UNION
  SELECT asked.id, asked.event_at, asked.person_id, one.id, one.game_id, one.value, one.owners
  FROM asked JOIN audience_identity named ON named.person_id = asked.person_id
  JOIN audience_ownership ownership ON ownership.user_id = named.id
  JOIN audience_identity one ON one.id = ownership.identity_id
  WHERE one.namespace = '{ANONYMOUS}' AND one.owners = 'several'
), bound AS (
  SELECT known.*, until FROM known CROSS JOIN LATERAL (VALUES (event_at), ('infinity'::timestamptz)) AS moment (until)
), newest AS (
  SELECT bound.*, level, source, decided_at FROM bound CROSS JOIN LATERAL (
    SELECT level, source, decided_at FROM consent_consentdecision
    WHERE game_id = bound.game_id AND anonymous_id = bound.value AND decided_at <= until
      AND (owners <> 'several' OR {OWNED.format(at="decided_at")})
    ORDER BY decided_at DESC, source = '{STATED}' DESC, id DESC LIMIT 1
  ) AS decision
)"""
# The level that the messages of an id stated last before another decision of it.
STATED_BEFORE = f"""
  SELECT level FROM consent_consentdecision
  WHERE game_id = bound.game_id AND anonymous_id = bound.value AND source = '{STATED}'
    AND decided_at < bound.decided_at AND bound.source <> '{STATED}' AND owners <> 'several'
  ORDER BY decided_at DESC LIMIT 1"""
# The newest decisions; and rows with the id alone of conversions for which events have to be read.
DECISIONS = f"""{NEWEST}
(SELECT DISTINCT ON (id, decided_at > event_at) id, decided_at > event_at, level, source, decided_at FROM newest
ORDER BY id, decided_at > event_at, decided_at DESC, {ORDER_OF_LEVELS.format(level="level")})
UNION ALL
SELECT id, NULL, NULL, NULL, NULL FROM newest AS bound WHERE level <> ({STATED_BEFORE})
UNION
SELECT id, NULL, NULL, NULL, NULL FROM known WHERE owners = 'several' AND EXISTS (
  SELECT FROM consent_consentdecision WHERE game_id = known.game_id AND anonymous_id = value AND source = '{STATED}')
"""
# A message that repeats the level stated before is not stored (audience/digest/stated_consent.py). Its event is read
# where it may decide: after another decision, and by another owner of the id. A query of its own, since planning it
# takes ten milliseconds, for all partitions of events.
STATEMENTS = f"""
    SELECT {LEVEL} AS level, least(event.event_at, event.received_at) AS at FROM audience_event event
    WHERE event.game_id = bound.game_id AND event.anonymous_id = bound.value AND event.anonymous_id <> ''
      AND consent_level IN ('not_set', 'none', 'anonymous', 'full')
      AND least(event.event_at, event.received_at) <= until"""
REPEATED = f"""{NEWEST}
SELECT bound.id, repeated.at > bound.event_at, stated.level, '{STATED}', repeated.at FROM newest AS bound
CROSS JOIN LATERAL ({STATED_BEFORE}) AS stated
CROSS JOIN LATERAL (
  SELECT max(at) AS at FROM ({STATEMENTS} AND stated.level <> bound.level) AS statement WHERE at > bound.decided_at
) AS repeated
WHERE repeated.at IS NOT NULL
UNION ALL
SELECT bound.id, own.at > bound.event_at, own.level, '{STATED}', own.at FROM bound
CROSS JOIN LATERAL (
  SELECT level, at FROM (
    {STATEMENTS} AND owners = 'several' ORDER BY 2 DESC, {ORDER_OF_LEVELS.format(level=LEVEL)} OFFSET 0
  ) AS statement
  WHERE {OWNED.format(at="at")} ORDER BY at DESC LIMIT 1
) AS own
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of a player."""

    level: Level
    source: str
    decided_at: datetime

    @property
    def origin(self) -> str:
        return source_label(self.source) if self.source == STATED else f"by {self.source}"


@dataclass(frozen=True, slots=True)
class Decisions:
    """A player's decision in force at the time of an event, and the newest one after it; None without one."""

    at_event: Decision | None = None
    later: Decision | None = None


def levels(conversions: Sequence[Conversion]) -> dict[uuid.UUID, Level]:
    """The consent in force per conversion id, in one query; the games must be loaded."""
    found = decisions(conversions)
    return {conversion.pk: level(conversion, found.get(conversion.pk, Decisions())) for conversion in conversions}


def level(conversion: Conversion, found: Decisions) -> Level:
    stated = conversion.consent_level
    if stated and stated not in Level.values:
        return Level.NONE  # an unknown level
    return effective_level(
        stated=stated,
        at_event=found.at_event.level if found.at_event else None,
        later=found.later.level if found.later else None,
        strict=conversion.game.strict_consent,
    )


def decisions(conversions: Sequence[Conversion]) -> dict[uuid.UUID, Decisions]:
    """The decisions of each conversion's player, per conversion id; conversions without one are left out."""
    if not conversions:
        return {}
    asked = {c.pk: {"id": c.pk, "person_id": c.person_id, "event_at": c.event_at} for c in conversions}
    found: dict[uuid.UUID, dict[str, Decision]] = {}
    unclear = {row[0] for row in _read(DECISIONS, asked.values(), found)}
    if unclear:
        _read(REPEATED, [asked[pk] for pk in unclear], found)
    return {pk: Decisions(**both) for pk, both in found.items()}


def _read(
    query: str, asked: Iterable[dict[str, Any]], found: dict[uuid.UUID, dict[str, Decision]]
) -> list[tuple[Any, ...]]:
    """Add to `found` the decisions that are newer than those in it; return the rows without one."""
    with connection.cursor() as cursor:
        cursor.execute(query, {"rows": orjson.dumps(list(asked)).decode()})
        rows = cursor.fetchall()
    for pk, is_later, decided, source, decided_at in rows:
        if decided is None:
            continue
        of_conversion, name = found.setdefault(pk, {}), "later" if is_later else "at_event"
        decision = Decision(Level(decided), source, decided_at)
        of_conversion[name] = max(of_conversion.get(name, decision), decision, key=_newest_and_lowest)
    return [row for row in rows if row[2] is None]


def _newest_and_lowest(decision: Decision) -> tuple[datetime, int]:
    return decision.decided_at, -LOWEST_FIRST.index(decision.level)
