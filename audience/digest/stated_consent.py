"""Stores the consent levels that messages state as decisions of their anonymous ids.

An SDK states the level on every message. A statement is stored if its level differs from the previous statement or
decision, in order of time, so that the newest stored decision has the level at any time. After a late message the next
statement may differ from it, so the decisions of its id are derived from all of its events again. Of several levels at
the same time the lowest counts. The result depends on the events' times only, not on their arrival.
"""

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from django.db import connection

from audience.models import Game
from consent.models import STATED

MAX_ID_LENGTH = 256  # of ConsentDecision.anonymous_id
# A stated level as a decision: not_set counts as none.
LEVEL = "CASE consent_level WHEN 'not_set' THEN 'none' ELSE consent_level END"
# Whether events of one anonymous id between `first_at` and `last_at`, whose stated levels are from `lowest` to
# `highest` in alphabetical order ('' for none), state another level than the one in force. An SQL expression.
CHANGES_CONSENT = f"""CASE WHEN highest <> '' AND length(anonymous_id) BETWEEN 1 AND {MAX_ID_LENGTH}
    AND lower(anonymous_id) <> ALL(%(no_id)s) THEN lowest <> highest OR coalesce((
      SELECT stated.level <> highest OR stated.decided_at > first_at OR EXISTS (
        SELECT FROM consent_consentdecision decision
        WHERE decision.game_id = %(game)s AND decision.anonymous_id = audience_canonical_id(id_group.anonymous_id)
          AND decision.source <> '{STATED}' AND decision.level <> highest
          AND decision.decided_at > stated.decided_at AND decision.decided_at <= last_at)
      FROM (
        SELECT level, decided_at FROM consent_consentdecision decision
        WHERE decision.game_id = %(game)s AND decision.anonymous_id = audience_canonical_id(id_group.anonymous_id)
          AND source = '{STATED}' AND decided_at <= last_at ORDER BY decided_at DESC LIMIT 1) AS stated
    ), true) ELSE false END"""
# The evidence that a message states with its level, as the web pixel does; {} for none, or for more than MAX_EVIDENCE.
MAX_EVIDENCE = 8_192
EVIDENCE = f"""CASE WHEN jsonb_typeof(context -> 'consent') = 'object'
    AND length((context -> 'consent')::text) <= {MAX_EVIDENCE} THEN context -> 'consent' ELSE '{{}}'::jsonb END"""
# The stored decisions are read in addition to the events, since old events are deleted. Events contain ids as sent,
# decisions their canonical form.
STORE = f"""
WITH statement AS (
  SELECT sent.anonymous_id, event.at, event.level, event.evidence
  FROM jsonb_to_recordset(%(sent)s) AS sent (anonymous_id text, spelling text) CROSS JOIN LATERAL (
    SELECT least(event_at, received_at) AS at, {LEVEL} AS level, {EVIDENCE} AS evidence FROM audience_event event
    WHERE game_id = %(game)s AND event.anonymous_id = sent.spelling AND event.anonymous_id <> ''
      AND consent_level IN ('not_set', 'none', 'anonymous', 'full')
  ) AS event
  UNION ALL
  SELECT anonymous_id, decided_at, level, evidence FROM consent_consentdecision
  WHERE game_id = %(game)s AND anonymous_id = ANY(%(ids)s) AND source = '{STATED}'
), stated AS (
  SELECT DISTINCT ON (anonymous_id, at) anonymous_id, at, level, evidence FROM statement
  ORDER BY anonymous_id, at, array_position(ARRAY['none', 'anonymous', 'full'], level), evidence DESC
), timeline AS (
  SELECT anonymous_id, at, level, evidence, true AS is_stated, 0 AS number FROM stated
  UNION ALL
  SELECT anonymous_id, decided_at, level, '{{}}'::jsonb, false, id FROM consent_consentdecision
  WHERE game_id = %(game)s AND anonymous_id = ANY(%(ids)s) AND source <> '{STATED}'
), compared AS (
  SELECT *, lag(level) OVER (PARTITION BY anonymous_id ORDER BY at, is_stated, number) AS previous,
    lag(level) OVER (PARTITION BY anonymous_id, is_stated ORDER BY at, number) AS previous_stated
  FROM timeline
), changed AS (
  SELECT anonymous_id, at, level, evidence FROM compared
  WHERE is_stated AND (level IS DISTINCT FROM previous OR level IS DISTINCT FROM previous_stated)
), deleted AS (
  DELETE FROM consent_consentdecision old
  WHERE game_id = %(game)s AND anonymous_id = ANY(%(ids)s) AND source = '{STATED}' AND NOT EXISTS (
    SELECT FROM changed WHERE (changed.anonymous_id, at, changed.level) = (old.anonymous_id, decided_at, old.level))
)
INSERT INTO consent_consentdecision (game_id, anonymous_id, level, source, decided_at, evidence)
SELECT %(game)s, anonymous_id, level, '{STATED}', at, evidence FROM changed WHERE NOT EXISTS (
  SELECT FROM consent_consentdecision old WHERE game_id = %(game)s AND source = '{STATED}'
    AND (changed.anonymous_id, at, changed.level) = (old.anonymous_id, decided_at, old.level))
ORDER BY anonymous_id, at
"""


def store(*, game: Game, spellings: Mapping[str, Collection[str]]) -> None:
    """Store the stated levels of these anonymous ids: {canonical form: spellings}. The game must be locked."""
    valid = {value: sent for value, sent in spellings.items() if len(value) <= MAX_ID_LENGTH}
    if valid:
        rows = [{"anonymous_id": value, "spelling": spelling} for value, sent in valid.items() for spelling in sent]
        with connection.cursor() as cursor:
            params: dict[str, Any] = {"game": game.pk, "ids": sorted(valid), "sent": orjson.dumps(rows).decode()}
            cursor.execute(STORE, params)
