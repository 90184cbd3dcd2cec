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
OWNED = f"cutoff.person_id = ({OWNER_AT.format(identity='cutoff.identity_id', at='{at}')})"
# Two index lookups per conversion and anonymous id of its person: the newest decision, and the newest one at the time
# of the event. Of an id with several owners, only decisions from the times when this person owned it count.
NEWEST = f"""
WITH input AS (SELECT * FROM jsonb_to_recordset(%(rows)s) AS input (id uuid, person_id uuid, event_at timestamptz)),
ids AS (
  SELECT input.*, identity.id AS identity_id, identity.game_id, identity.value, identity.owners,
    identity.value || identity.spellings AS forms
  FROM input JOIN audience_identity identity ON identity.person_id = input.person_id
  WHERE namespace = '{ANONYMOUS}' AND owners NOT IN ('several', 'other')
  UNION
  SELECT input.*, identity.id, identity.game_id, identity.value, identity.owners, identity.value || identity.spellings
  FROM input JOIN audience_identity user_identity ON user_identity.person_id = input.person_id
  JOIN audience_ownership ownership ON ownership.user_id = user_identity.id
  JOIN audience_identity identity ON identity.id = ownership.identity_id
  WHERE identity.namespace = '{ANONYMOUS}' AND identity.owners = 'several'
), cutoff AS (
  SELECT ids.*, until FROM ids CROSS JOIN LATERAL (VALUES (event_at), ('infinity'::timestamptz)) AS cutoff (until)
), newest AS (
  SELECT cutoff.*, level, source, decided_at FROM cutoff CROSS JOIN LATERAL (
    SELECT level, source, decided_at FROM consent_consentdecision
    WHERE game_id = cutoff.game_id AND anonymous_id = cutoff.value AND decided_at <= until
      AND (owners <> 'several' OR {OWNED.format(at="decided_at")})
    ORDER BY decided_at DESC, source = '{STATED}' DESC, id DESC LIMIT 1
  ) AS decision
)"""
# The level that messages of the id stated last before another decision.
STATED_BEFORE = f"""
  SELECT level FROM consent_consentdecision
  WHERE game_id = cutoff.game_id AND anonymous_id = cutoff.value AND source = '{STATED}'
    AND decided_at < cutoff.decided_at AND cutoff.source <> '{STATED}' AND owners <> 'several'
  ORDER BY decided_at DESC LIMIT 1"""
# The newest decisions, and a row with only the conversion's id if events have to be read for it.
DECISIONS = f"""{NEWEST}
(SELECT DISTINCT ON (id, decided_at > event_at) id, decided_at > event_at, level, source, decided_at FROM newest
ORDER BY id, decided_at > event_at, decided_at DESC, {ORDER_OF_LEVELS.format(level="level")})
UNION ALL
SELECT id, NULL, NULL, NULL, NULL FROM newest AS cutoff WHERE level <> ({STATED_BEFORE})
UNION
SELECT id, NULL, NULL, NULL, NULL FROM ids WHERE owners = 'several' AND EXISTS (
  SELECT FROM consent_consentdecision WHERE game_id = ids.game_id AND anonymous_id = value AND source = '{STATED}')
"""
# A message that repeats the level stated before is not stored as a decision (audience/digest/stated_consent.py). Its
# event is read if it may decide: after another decision, or if the id has several owners. This is a separate query,
# since planning it for all partitions of events takes ten milliseconds.
STATEMENTS = f"""
    SELECT {LEVEL} AS level, least(event.event_at, event.received_at) AS stated_at FROM audience_event event
    WHERE event.game_id = cutoff.game_id AND event.anonymous_id = ANY(cutoff.forms) AND event.anonymous_id <> ''
      AND consent_level IN ('not_set', 'none', 'anonymous', 'full')
      AND least(event.event_at, event.received_at) <= until"""
REPEATED = f"""{NEWEST}
SELECT cutoff.id, repeated.stated_at > cutoff.event_at, stated.level, '{STATED}', repeated.stated_at
FROM newest AS cutoff
CROSS JOIN LATERAL ({STATED_BEFORE}) AS stated
CROSS JOIN LATERAL (
  SELECT max(stated_at) AS stated_at FROM ({STATEMENTS} AND stated.level <> cutoff.level) AS statement
  WHERE stated_at > cutoff.decided_at
) AS repeated
WHERE repeated.stated_at IS NOT NULL
UNION ALL
SELECT cutoff.id, owned.stated_at > cutoff.event_at, owned.level, '{STATED}', owned.stated_at FROM cutoff
CROSS JOIN LATERAL (
  SELECT level, stated_at FROM (
    {STATEMENTS} AND owners = 'several' ORDER BY 2 DESC, {ORDER_OF_LEVELS.format(level=LEVEL)} OFFSET 0
  ) AS statement
  WHERE {OWNED.format(at="stated_at")} ORDER BY stated_at DESC LIMIT 1
) AS owned
"""


# The newest decisions of the anonymous id that the event itself states, where nobody owns that id: another id
# determined the player of the event, or more players use it than can own it. A refusal under this id still applies.
UNOWNED = f"""
WITH input AS (SELECT * FROM jsonb_to_recordset(%(rows)s)
  AS input (id uuid, game_id bigint, anonymous_id text, event_at timestamptz))
SELECT input.id, level, source, decided_at FROM input
CROSS JOIN LATERAL (
  SELECT FROM audience_identity
  WHERE (game_id, namespace, value) = (input.game_id, '{ANONYMOUS}', input.anonymous_id)
    AND owners IN ('crowd', 'other')
  LIMIT 1
) AS unowned
CROSS JOIN LATERAL (VALUES (event_at), ('infinity'::timestamptz)) AS cutoff (until)
CROSS JOIN LATERAL (
  SELECT level, source, decided_at FROM consent_consentdecision decision
  WHERE decision.game_id = input.game_id AND decision.anonymous_id = input.anonymous_id AND decided_at <= until
  ORDER BY decided_at DESC, source = '{STATED}' DESC, id DESC LIMIT 1
) AS decision
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """A consent decision of a player."""

    level: Level
    source: str
    decided_at: datetime

    @property
    def origin(self) -> str:
        return source_label(self.source) if self.source == STATED else f"by {self.source}"


@dataclass(frozen=True, slots=True)
class Decisions:
    """A player's decision in force at the time of an event, and the newest one after it; None without one.

    `unowned` is the lowest of those recorded under the event's own anonymous id, if nobody owns that.
    """

    at_event: Decision | None = None
    later: Decision | None = None
    unowned: Decision | None = None


def levels(conversions: Sequence[Conversion]) -> dict[uuid.UUID, Level]:
    """The consent in force per conversion id, in at most three queries; the games must be loaded."""
    decided = decisions(conversions)
    return {conversion.pk: level(conversion, decided.get(conversion.pk, Decisions())) for conversion in conversions}


def level(conversion: Conversion, decided: Decisions) -> Level:
    """The consent in force for a conversion, by its player's decisions."""
    stated = conversion.consent_level
    if stated and stated not in Level.values:
        return Level.NONE  # an unknown level
    return effective_level(
        stated=stated,
        at_event=decided.at_event.level if decided.at_event else None,
        later=min(
            (decision.level for decision in (decided.later, decided.unowned) if decision),
            key=LOWEST_FIRST.index,
            default=None,
        ),
        strict=conversion.game.strict_consent,
    )


def decisions(conversions: Sequence[Conversion]) -> dict[uuid.UUID, Decisions]:
    """The decisions of each conversion's player, per conversion id; conversions without one are left out."""
    if not conversions:
        return {}
    requested = {c.pk: {"id": c.pk, "person_id": c.person_id, "event_at": c.event_at} for c in conversions}
    newest: dict[uuid.UUID, dict[str, Decision]] = {}
    for pk, decided, source, decided_at in _rows(UNOWNED, [_own_id(c) for c in conversions if c.anonymous_id]):
        decision, values = Decision(Level(decided), source, decided_at), newest.setdefault(pk, {})
        values["unowned"] = min(values.get("unowned", decision), decision, key=_rank)
    undecided = {row[0] for row in _read(DECISIONS, requested.values(), newest)}
    if undecided:
        _read(REPEATED, [requested[pk] for pk in undecided], newest)
    return {pk: Decisions(**values) for pk, values in newest.items()}


def _read(
    query: str, requested: Iterable[dict[str, Any]], newest: dict[uuid.UUID, dict[str, Decision]]
) -> list[tuple[Any, ...]]:
    """Add newer decisions to `newest`: conversion id -> {"at_event", "later"}. Return the rows without a decision."""
    rows = _rows(query, list(requested))
    for pk, is_later, decided, source, decided_at in rows:
        if decided is None:
            continue
        values, name = newest.setdefault(pk, {}), "later" if is_later else "at_event"
        decision = Decision(Level(decided), source, decided_at)
        values[name] = max(values.get(name, decision), decision, key=_newest_and_lowest)
    return [row for row in rows if row[2] is None]


def _own_id(conversion: Conversion) -> dict[str, Any]:
    own = {"anonymous_id": conversion.anonymous_id, "event_at": conversion.event_at}
    return {"id": conversion.pk, "game_id": conversion.game_id, **own}


def _rows(query: str, conversions: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    if not conversions:
        return []
    with connection.cursor() as cursor:
        cursor.execute(query, {"rows": orjson.dumps(conversions).decode()})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _rank(decision: Decision) -> int:
    return LOWEST_FIRST.index(decision.level)


def _newest_and_lowest(decision: Decision) -> tuple[datetime, int]:
    return decision.decided_at, -_rank(decision)
