"""Counts of requests and conversions by the minute (audience/storage/rollups.py): tables, views, triggers, and what there is.

The counting of the rows there are stands in the transaction that makes the triggers: making one locks its table against
writers, so that no row is passed over in between and none counted twice.
"""

from django.db import migrations, models

# Sixty-second bins whatever the time zone of a session is.
MINUTE = "date_bin('1 minute', {column}, 'epoch'::timestamptz)"
# What is over becomes hours (rollups.MINUTES_KEPT): of the rows there are, at once.
HOUR_OR_MINUTE = """date_bin(CASE WHEN {column} < now() - interval '3 hours' THEN interval '1 hour'
  ELSE interval '1 minute' END, {column}, 'epoch'::timestamptz)"""

TABLES = """
CREATE TABLE audience_{name}minute ({columns}, PRIMARY KEY ({keys}));
-- rollups.COARSEN: minutes that are to become hours.
CREATE INDEX audience_{name}minute_fine ON audience_{name}minute (starts_at)
    WHERE date_bin('1 hour', starts_at, 'epoch'::timestamptz) <> starts_at;
CREATE TABLE audience_{name}tail (LIKE audience_{name}minute INCLUDING DEFAULTS);
-- It is emptied every few seconds and read for every chart.
ALTER TABLE audience_{name}tail SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_threshold = -1);
CREATE VIEW audience_{name}count AS
    SELECT * FROM audience_{name}minute UNION ALL SELECT * FROM audience_{name}tail;
"""
REQUESTS = TABLES.format(
    name="request",
    keys="game_id, starts_at, key_id",
    columns="game_id bigint, starts_at timestamptz, key_id bigint, requests integer NOT NULL,"
    " accepted integer NOT NULL, duplicates integer NOT NULL, rejected integer NOT NULL",
)
CONVERSIONS = TABLES.format(
    name="conversion",
    keys="game_id, starts_at, network, currency",
    columns="game_id bigint, starts_at timestamptz, network varchar(16), currency varchar(3),"
    " number integer NOT NULL, valued integer NOT NULL, value numeric(38, 6) NOT NULL",
)

# A request is written once and counted as it is written; its record is deleted by age alone.
COUNT_REQUESTS = """
SELECT game_id, {at}, coalesce(key_id, 0), count(*), sum(accepted), sum(duplicates), sum(rejected)
FROM {rows} GROUP BY 1, 2, 3
"""
# Grouped before clicks are looked up: of an update that moves none, nothing is left to look up. One by one, since for
# a few PostgreSQL would read every click of every game into a hash.
COUNT_CONVERSIONS = """
SELECT game_id, minute, coalesce((SELECT network FROM audience_touch touch WHERE touch.id = moved.touch_id), ''),
  currency, sum(number), sum(valued), sum(value)
FROM (
  SELECT game_id, minute, touch_id, currency, sum(sign) AS number, sum(sign * (value IS NOT NULL)::integer) AS valued,
    coalesce(sum(sign * value), 0) AS value
  FROM ({rows}) seen GROUP BY game_id, minute, touch_id, currency
) moved
WHERE number <> 0 OR valued <> 0 OR value <> 0
GROUP BY 1, 2, 3, 4
"""
COUNTED = """
SELECT {sign} AS sign, game_id, {at} AS minute, touch_id, currency, value FROM {rows}
WHERE NOT test AND reason NOT IN ('repeat_launch', 'erased')
"""
HAPPENED = MINUTE.format(column="event_at")
OLD = COUNTED.format(sign=-1, rows="old_rows", at=HAPPENED)
NEW = COUNTED.format(sign=1, rows="new_rows", at=HAPPENED)
NEW_REQUESTS = COUNT_REQUESTS.format(rows="new_rows", at=MINUTE.format(column="received_at"))
TRIGGERS = f"""
CREATE FUNCTION audience_count_requests() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audience_requesttail {NEW_REQUESTS};
  RETURN NULL;
END $$;
CREATE TRIGGER count_requests AFTER INSERT ON audience_batch REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION audience_count_requests();
CREATE FUNCTION audience_count_conversions() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO audience_conversiontail {COUNT_CONVERSIONS.format(rows=NEW)};
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO audience_conversiontail {COUNT_CONVERSIONS.format(rows=f"{OLD} UNION ALL {NEW}")};
  ELSE
    INSERT INTO audience_conversiontail {COUNT_CONVERSIONS.format(rows=OLD)};
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER count_new_conversions AFTER INSERT ON audience_conversion
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION audience_count_conversions();
CREATE TRIGGER count_changed_conversions AFTER UPDATE ON audience_conversion
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION audience_count_conversions();
-- Only an erasure deletes a conversion, and then it is to be counted no more.
CREATE TRIGGER count_deleted_conversions AFTER DELETE ON audience_conversion
  REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION audience_count_conversions();
"""
REQUESTS_THERE_ARE = COUNT_REQUESTS.format(rows="audience_batch", at=HOUR_OR_MINUTE.format(column="received_at"))
EVERY = COUNTED.format(sign=1, rows="audience_conversion", at=HOUR_OR_MINUTE.format(column="event_at"))
WHAT_THERE_IS = f"""
INSERT INTO audience_requestminute {REQUESTS_THERE_ARE};
INSERT INTO audience_conversionminute {COUNT_CONVERSIONS.format(rows=EVERY)};
"""
UNDO = """
DROP TRIGGER count_requests ON audience_batch;
DROP TRIGGER count_new_conversions ON audience_conversion;
DROP TRIGGER count_changed_conversions ON audience_conversion;
DROP TRIGGER count_deleted_conversions ON audience_conversion;
DROP FUNCTION audience_count_requests();
DROP FUNCTION audience_count_conversions();
DROP VIEW audience_requestcount, audience_conversioncount;
DROP TABLE audience_requestminute, audience_requesttail, audience_conversionminute, audience_conversiontail;
"""


class Migration(migrations.Migration):
    dependencies = [("audience", "0012_room_and_vacuum")]

    operations = [
        migrations.RunSQL(REQUESTS + CONVERSIONS + TRIGGERS + WHAT_THERE_IS, UNDO),
        migrations.CreateModel(
            name="ConversionCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "game_id",
                        "starts_at",
                        "network",
                        "currency",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("game_id", models.BigIntegerField()),
                ("starts_at", models.DateTimeField()),
                ("network", models.CharField(max_length=16)),
                ("currency", models.CharField(max_length=3)),
                ("number", models.IntegerField()),
                ("valued", models.IntegerField()),
                ("value", models.DecimalField(decimal_places=6, max_digits=38)),
            ],
            options={
                "db_table": "audience_conversioncount",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="RequestCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "game_id", "starts_at", "key_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("game_id", models.BigIntegerField()),
                ("key_id", models.BigIntegerField()),
                ("starts_at", models.DateTimeField()),
                ("requests", models.IntegerField()),
                ("accepted", models.IntegerField()),
                ("duplicates", models.IntegerField()),
                ("rejected", models.IntegerField()),
            ],
            options={
                "db_table": "audience_requestcount",
                "managed": False,
            },
        ),
    ]
