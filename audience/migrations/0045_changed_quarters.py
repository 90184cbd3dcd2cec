"""Marks of the quarter hours whose figures of campaigns have to be computed again (postbacks/reporting/campaigns/).

Triggers write them in the transaction of the change, so that late clicks and conversions, merges and erasures correct
the figures. A mark says which figures: "campaign" for those by the time of a click or conversion, "cohort" for those by
the time of a player's first click.
"""

from django.db import migrations

TABLE = """
CREATE TABLE audience_changedquarter (game_id bigint NOT NULL, kind varchar(8) NOT NULL, starts_at timestamptz NOT NULL);
CREATE INDEX audience_changedquarter_key ON audience_changedquarter (game_id, kind, starts_at);
-- It is emptied every few seconds.
ALTER TABLE audience_changedquarter SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_threshold = -1);
"""
# One expression each, so that the planner inlines them. A macro that the network did not fill in is no name.
FUNCTIONS = r"""
CREATE FUNCTION audience_quarter(moment timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT date_bin('15 minutes', moment, 'epoch'::timestamptz)
$$;
CREATE FUNCTION audience_tag(tag text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN tag !~ '^(__[A-Za-z0-9_]+__|\{+[^{}]*\}+)$' THEN nullif(left(tag, 200), '') END
$$;
CREATE FUNCTION audience_campaign_name(tags jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(audience_tag(tags ->> 'utm_campaign'), audience_tag(tags ->> 'campaign_name'),
    audience_tag(tags ->> 'utm_id'), audience_tag(tags ->> 'campaign_id'), '')
$$;
CREATE FUNCTION audience_campaign_id(tags jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(audience_tag(tags ->> 'campaign_id'), audience_tag(tags ->> 'utm_id'))
$$;
CREATE FUNCTION audience_ad_group(tags jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(audience_tag(tags ->> 'ad_group_name'), audience_tag(tags ->> 'utm_term'),
    audience_tag(tags ->> 'ad_group_id'), '')
$$;
CREATE FUNCTION audience_ad(tags jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(audience_tag(tags ->> 'ad_name'), audience_tag(tags ->> 'utm_content'),
    audience_tag(tags ->> 'ad_id'), '')
$$;
CREATE FUNCTION audience_is_counted(test boolean, repeats_order boolean, reason text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT NOT test AND NOT repeats_order AND reason NOT IN ('repeat_launch', 'refund', 'erased')
$$;
"""
# Beside the changed clicks, the earliest other click of each of their players may become or no longer be the first.
# A click that is being filled anew has the time 9999-01-01 (touches.UNSET) until the end of the statement after it.
MARK_TOUCHES = """
INSERT INTO audience_changedquarter (game_id, kind, starts_at)
WITH changed AS MATERIALIZED ({changed}), moment AS (
  SELECT game_id, clicked_at FROM changed
  UNION
  SELECT game_id, other.clicked_at FROM (SELECT DISTINCT game_id, person_id FROM changed) AS player
  CROSS JOIN LATERAL (
    SELECT clicked_at FROM audience_touch AS touch
    WHERE touch.person_id = player.person_id AND touch.id NOT IN (SELECT id FROM changed)
    ORDER BY clicked_at LIMIT 1
  ) AS other
)
SELECT DISTINCT game_id, kind, audience_quarter(clicked_at)
FROM moment CROSS JOIN (VALUES ('campaign'), ('cohort')) AS kinds (kind) WHERE clicked_at < '9000-01-01'
UNION
SELECT conversion.game_id, 'campaign', audience_quarter(event_at)
FROM (SELECT DISTINCT id FROM changed WHERE is_renamed) AS renamed
CROSS JOIN LATERAL (
  SELECT game_id, event_at FROM audience_conversion WHERE touch_id = renamed.id OFFSET 0
) AS conversion
"""
MARK_CONVERSIONS = """
INSERT INTO audience_changedquarter (game_id, kind, starts_at)
WITH changed AS MATERIALIZED ({changed}), won AS MATERIALIZED (SELECT * FROM changed WHERE touch_id IS NOT NULL)
SELECT game_id, 'campaign', audience_quarter(event_at) FROM won
UNION
SELECT game_id, 'campaign', audience_quarter(other.event_at)
FROM (SELECT DISTINCT game_id, person_id, trigger FROM won) AS player
CROSS JOIN LATERAL (
  SELECT min(event_at) AS event_at FROM audience_conversion AS conversion
  WHERE conversion.person_id = player.person_id AND conversion.trigger = player.trigger AND touch_id IS NOT NULL
    AND audience_is_counted(test, repeats_order, reason) AND conversion.id NOT IN (SELECT id FROM won)
) AS other WHERE other.event_at IS NOT NULL
UNION
SELECT game_id, 'cohort', audience_quarter(clicked_at)
FROM (SELECT DISTINCT game_id, person_id FROM changed WHERE value IS NOT NULL) AS player
CROSS JOIN LATERAL (
  SELECT clicked_at FROM audience_touch AS touch WHERE touch.person_id = player.person_id ORDER BY clicked_at LIMIT 1
) AS click WHERE clicked_at < '9000-01-01'
"""
MARK_ACTIVITY = """
INSERT INTO audience_changedquarter (game_id, kind, starts_at)
SELECT DISTINCT game_id, 'cohort', audience_quarter(clicked_at)
FROM (SELECT DISTINCT game_id, person_id FROM {rows}) AS player
CROSS JOIN LATERAL (
  SELECT clicked_at FROM audience_touch AS touch WHERE touch.person_id = player.person_id ORDER BY clicked_at LIMIT 1
) AS click WHERE clicked_at < '9000-01-01'
"""
TOUCH = "SELECT id, game_id, person_id, clicked_at, {renamed} AS is_renamed FROM {rows}"
# Both versions of the rows that differ in what figures read.
CHANGED_TOUCHES = """
SELECT one.id, one.game_id, one.person_id, one.clicked_at, previous.campaign <> present.campaign AS is_renamed
FROM old_rows AS previous JOIN new_rows AS present USING (id) CROSS JOIN LATERAL (
  VALUES (previous.id, previous.game_id, previous.person_id, previous.clicked_at), (present.id, present.game_id, present.person_id, present.clicked_at)
) AS one (id, game_id, person_id, clicked_at)
WHERE (previous.person_id, previous.clicked_at, previous.campaign) IS DISTINCT FROM (present.person_id, present.clicked_at, present.campaign)
"""
CONVERSION = """
SELECT id, game_id, person_id, trigger, event_at, touch_id, value FROM {rows}
WHERE audience_is_counted(test, repeats_order, reason)
"""
CHANGED_CONVERSIONS = """
SELECT one.id, one.game_id, one.person_id, one.trigger, one.event_at, one.touch_id, one.value
FROM old_rows AS previous JOIN new_rows AS present USING (id) CROSS JOIN LATERAL (
  VALUES (previous.id, previous.game_id, previous.person_id, previous.trigger, previous.event_at, previous.touch_id, previous.value,
      audience_is_counted(previous.test, previous.repeats_order, previous.reason)),
    (present.id, present.game_id, present.person_id, present.trigger, present.event_at, present.touch_id, present.value,
      audience_is_counted(present.test, present.repeats_order, present.reason))
) AS one (id, game_id, person_id, trigger, event_at, touch_id, value, is_counted)
WHERE one.is_counted AND (previous.person_id, previous.event_at, previous.touch_id, previous.value, previous.currency,
    audience_is_counted(previous.test, previous.repeats_order, previous.reason))
  IS DISTINCT FROM (present.person_id, present.event_at, present.touch_id, present.value, present.currency,
    audience_is_counted(present.test, present.repeats_order, present.reason))
"""
FUNCTION = """
CREATE FUNCTION audience_mark_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    {inserted};
  ELSIF TG_OP = 'UPDATE' THEN
    {updated};
  ELSE
    {deleted};
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER mark_new AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION audience_mark_{name}();
CREATE TRIGGER mark_deleted AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION audience_mark_{name}();
"""
ON_UPDATE = """
CREATE TRIGGER mark_changed AFTER UPDATE ON {table} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION audience_mark_{name}();
"""
TOUCHES = FUNCTION.format(
    name="touches",
    table="audience_touch",
    inserted=MARK_TOUCHES.format(changed=TOUCH.format(rows="new_rows", renamed="false")),
    updated=MARK_TOUCHES.format(changed=CHANGED_TOUCHES),
    deleted=MARK_TOUCHES.format(changed=TOUCH.format(rows="old_rows", renamed="false")),
) + ON_UPDATE.format(name="touches", table="audience_touch")
CONVERSIONS = FUNCTION.format(
    name="conversions",
    table="audience_conversion",
    inserted=MARK_CONVERSIONS.format(changed=CONVERSION.format(rows="new_rows")),
    updated=MARK_CONVERSIONS.format(changed=CHANGED_CONVERSIONS),
    deleted=MARK_CONVERSIONS.format(changed=CONVERSION.format(rows="old_rows")),
) + ON_UPDATE.format(name="conversions", table="audience_conversion")
ACTIVITY = FUNCTION.format(
    name="activity",
    table="audience_activequarter",
    inserted=MARK_ACTIVITY.format(rows="new_rows"),
    updated="NULL",
    deleted=MARK_ACTIVITY.format(rows="old_rows"),
)
# After the triggers, in one transaction: creating one locks its table against writers, so that no row is missed.
EXISTING = """
INSERT INTO audience_changedquarter (game_id, kind, starts_at)
SELECT DISTINCT game_id, kind, audience_quarter(clicked_at)
FROM audience_touch CROSS JOIN (VALUES ('campaign'), ('cohort')) AS kinds (kind)
UNION
SELECT game_id, 'campaign', audience_quarter(event_at) FROM audience_conversion WHERE touch_id IS NOT NULL;
"""
UNDO = """
DROP TRIGGER mark_new ON audience_touch;
DROP TRIGGER mark_changed ON audience_touch;
DROP TRIGGER mark_deleted ON audience_touch;
DROP TRIGGER mark_new ON audience_conversion;
DROP TRIGGER mark_changed ON audience_conversion;
DROP TRIGGER mark_deleted ON audience_conversion;
DROP TRIGGER mark_new ON audience_activequarter;
DROP TRIGGER mark_deleted ON audience_activequarter;
DROP FUNCTION audience_mark_touches(), audience_mark_conversions(), audience_mark_activity();
DROP FUNCTION audience_is_counted(boolean, boolean, text);
DROP FUNCTION audience_campaign_name(jsonb), audience_campaign_id(jsonb), audience_ad_group(jsonb), audience_ad(jsonb), audience_tag(text);
DROP FUNCTION audience_quarter(timestamptz);
DROP TABLE audience_changedquarter;
"""


class Migration(migrations.Migration):
    dependencies = [("audience", "0044_reports_of_campaigns")]
    operations = [migrations.RunSQL(TABLE + FUNCTIONS + TOUCHES + CONVERSIONS + ACTIVITY + EXISTING, UNDO)]
