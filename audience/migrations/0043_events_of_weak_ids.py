"""Functions that find the events of weak ids (anonymous and device ids), in whatever partition they are.

Planning such a query takes a millisecond per partition, running it some microseconds. A function of PL/pgSQL keeps its
plan for the connection, also behind a pooler; PostgreSQL plans again when a partition is added or dropped. The plan must
not depend on parameters, nor on how small a partition was at the time: enable_seqscan and OFFSET 0 make it look up each
id in an index. Compiling it (jit) would take longer than running it.
"""

from django.db import migrations

# For audience/digest/namings.py: the events that name a user together with one of these ids. `weak_ids` is
# [{"id": primary key of the Identity, "value": the id as sent}, ...].
NAMING_EVENTS = """
CREATE FUNCTION audience_events_naming_{namespace}(game bigint, weak_ids jsonb, placeholders text[])
RETURNS TABLE (id bigint, user_id text, at timestamptz, message_id text)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT weak_id.id, event.user_id, event.at, event.message_id
  FROM jsonb_to_recordset(weak_ids) AS weak_id (id bigint, value text)
  CROSS JOIN LATERAL (
    SELECT user_id, least(event_at, received_at) AS at, message_id::text FROM audience_event
    WHERE game_id = game AND {namespace}_id = weak_id.value AND {namespace}_id <> '' AND {condition}
      AND user_id <> '' AND NOT links @> jsonb_build_array(jsonb_build_array('user', weak_id.value))
    OFFSET 0
  ) AS event
  WHERE lower(event.user_id) NOT IN (SELECT unnest(placeholders));
END $$
"""
# For audience/digest/reassignment.py: the events with any of these ids and without a user, except those with the ids
# `digesting`, grouped by their ids. `weak_ids` is [{"value": the id as sent}, ...].
WEAK_EVENTS = """
CREATE FUNCTION audience_events_without_user_{namespace}(
  game bigint, weak_ids jsonb, placeholders text[], digesting bigint[])
RETURNS TABLE (anonymous_id text, device_id text, first_at timestamptz, last_at timestamptz, message_id text)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT event.anonymous_id, event.device_id, min(at), max(at), (array_agg(message_id ORDER BY at, message_id))[1]
  FROM jsonb_to_recordset(weak_ids) AS weak_id (value text)
  CROSS JOIN LATERAL (
    SELECT id, anonymous_id, CASE WHEN kind = 'device' THEN '' ELSE device_id END AS device_id, user_id,
      least(event_at, received_at) AS at, message_id::text FROM audience_event
    WHERE game_id = game AND {namespace}_id = weak_id.value AND {namespace}_id <> '' AND {condition} AND links = '[]'
    OFFSET 0
  ) AS event
  WHERE (event.user_id = '' OR lower(event.user_id) IN (SELECT unnest(placeholders)))
    AND event.id NOT IN (SELECT unnest(digesting))
  GROUP BY event.anonymous_id, event.device_id;
END $$
"""
# The device id of a registration is not one of the event (audience/digest/event_groups.py).
CONDITIONS = {"anonymous": "true", "device": "kind <> 'device'"}


class Migration(migrations.Migration):
    dependencies = [("audience", "0042_reasons_of_unmapped_and_limited_events")]
    operations = [
        migrations.RunSQL(
            [text.format(namespace=namespace, condition=condition) for namespace, condition in CONDITIONS.items()],
            [f"DROP FUNCTION {name}_{namespace}" for namespace in CONDITIONS],
        )
        for text, name in (
            (NAMING_EVENTS, "audience_events_naming"),
            (WEAK_EVENTS, "audience_events_without_user"),
        )
    ]
