"""The consent in force for conversions: the lower of the level at the event's time and the newest decision after it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from django.db import connection

from audience.digest.ownership import OWNER_AT
from audience.models import Conversion
from audience.models.people import ANONYMOUS
from consent.decisions import effective_level
from consent.models import Level

# Per conversion and anonymous id of its person one index lookup for the newest decision, and one for the newest at the
# time of the event. Of an id with several owners only the decisions made while it was this person's count.
DECISIONS = f"""
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
), decision AS (
  SELECT known.id, newest.*, known.event_at FROM known CROSS JOIN LATERAL (
    (SELECT level, source, decided_at, id AS number FROM consent_consentdecision
    WHERE game_id = known.game_id AND anonymous_id = known.value
      AND (owners <> 'several' OR person_id = ({OWNER_AT.format(identity="known.identity_id", at="decided_at")}))
    ORDER BY decided_at DESC, id DESC LIMIT 1)
    UNION ALL
    (SELECT level, source, decided_at, id FROM consent_consentdecision
    WHERE game_id = known.game_id AND anonymous_id = known.value AND decided_at <= event_at
      AND (owners <> 'several' OR person_id = ({OWNER_AT.format(identity="known.identity_id", at="decided_at")}))
    ORDER BY decided_at DESC, id DESC LIMIT 1)
  ) AS newest
)
SELECT DISTINCT ON (id, decided_at > event_at) id, decided_at > event_at, level, source, decided_at FROM decision
ORDER BY id, decided_at > event_at, decided_at DESC, number DESC
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of a player."""

    level: Level
    source: str
    decided_at: datetime


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
    asked = [{"id": c.pk, "person_id": c.person_id, "event_at": c.event_at} for c in conversions]
    found: dict[uuid.UUID, dict[str, Decision]] = {}
    with connection.cursor() as cursor:
        cursor.execute(DECISIONS, {"rows": orjson.dumps(asked).decode()})
        for pk, is_later, decided, source, decided_at in cursor.fetchall():
            found.setdefault(pk, {})["later" if is_later else "at_event"] = Decision(Level(decided), source, decided_at)
    return {pk: Decisions(**both) for pk, both in found.items()}
