"""Counts of deliveries and attempts by the minute, made as audience's migration of the same name makes its own.

No trigger for what is deleted: rows go by age alone (an erasure keeps them, without their player), and their counts
stay. An attempt that was never made is deleted while it is open, and open ones are not counted.
"""

from django.db import migrations, models

MINUTE = "date_bin('1 minute', {column}, 'epoch'::timestamptz)"
# What is over becomes hours (rollups.MINUTES_KEPT): of the rows there are, at once.
HOUR_OR_MINUTE = """date_bin(CASE WHEN {column} < now() - interval '3 hours' THEN interval '1 hour'
  ELSE interval '1 minute' END, {column}, 'epoch'::timestamptz)"""

TABLES = """
CREATE TABLE postbacks_{name}minute ({columns}, number integer NOT NULL, PRIMARY KEY ({keys}));
-- rollups.COARSEN: minutes that are to become hours.
CREATE INDEX postbacks_{name}minute_fine ON postbacks_{name}minute (starts_at)
    WHERE date_bin('1 hour', starts_at, 'epoch'::timestamptz) <> starts_at;
CREATE TABLE postbacks_{name}tail (LIKE postbacks_{name}minute INCLUDING DEFAULTS);
-- It is emptied every few seconds and read for every chart.
ALTER TABLE postbacks_{name}tail SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_threshold = -1);
CREATE VIEW postbacks_{name}count AS
    SELECT * FROM postbacks_{name}minute UNION ALL SELECT * FROM postbacks_{name}tail;
"""
DELIVERIES = TABLES.format(
    name="delivery",
    keys="config_id, starts_at, state",
    columns="config_id uuid, starts_at timestamptz, state varchar(10)",
)
ATTEMPTS = TABLES.format(
    name="attempt",
    keys="config_id, starts_at, status, bucket",
    columns="config_id uuid, starts_at timestamptz, status varchar(8), bucket smallint",
)
# The bounds of postbacks/reporting/latency.py, which a test compares with these. width_bucket counts a value that is a bound to
# the bucket above; a bound is the longest of its bucket here.
BUCKET = """
CREATE FUNCTION postbacks_latency_bucket(ms integer) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN ms IS NULL THEN -1 ELSE width_bucket(ms - 1, ARRAY[5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 100, 125,
    150, 175, 200, 250, 300, 350, 400, 500, 600, 750, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 7500, 10000,
    15000]) END::smallint
$$;
"""

MADE_ROWS = "SELECT {sign} AS sign, config_id, {at} AS minute, state FROM {rows}"
COUNT_DELIVERIES = """
SELECT config_id, minute, state, sum(sign) FROM ({rows}) moved
GROUP BY config_id, minute, state HAVING sum(sign) <> 0
"""
STARTED_ROWS = """
SELECT {sign} AS sign, config_id, {at} AS minute, status, postbacks_latency_bucket(latency_ms) AS bucket
FROM {rows} WHERE status <> 'sending'
"""
COUNT_ATTEMPTS = """
SELECT config_id, minute, status, bucket, sum(sign) FROM ({rows}) moved
GROUP BY config_id, minute, status, bucket HAVING sum(sign) <> 0
"""
TRIGGERS = """
CREATE FUNCTION postbacks_count_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO postbacks_{name}tail {inserted};
  ELSE
    INSERT INTO postbacks_{name}tail {updated};
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER count_new AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION postbacks_count_{name}();
CREATE TRIGGER count_changed AFTER UPDATE ON {table} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION postbacks_count_{name}();
INSERT INTO postbacks_{name}minute {there_are};
"""


def counted(name: str, table: str, column: str, count: str, rows: str) -> str:
    """The triggers of a table, and the count of what it holds."""
    minute = MINUTE.format(column=column)
    old, new = rows.format(sign=-1, rows="old_rows", at=minute), rows.format(sign=1, rows="new_rows", at=minute)
    every = rows.format(sign=1, rows=table, at=HOUR_OR_MINUTE.format(column=column))
    return TRIGGERS.format(
        name=name,
        table=table,
        inserted=count.format(rows=new),
        updated=count.format(rows=f"{old} UNION ALL {new}"),
        there_are=count.format(rows=every),
    )


UNDO = """
DROP TRIGGER count_new ON postbacks_delivery;
DROP TRIGGER count_changed ON postbacks_delivery;
DROP TRIGGER count_new ON postbacks_deliveryattempt;
DROP TRIGGER count_changed ON postbacks_deliveryattempt;
DROP FUNCTION postbacks_count_delivery();
DROP FUNCTION postbacks_count_attempt();
DROP VIEW postbacks_deliverycount, postbacks_attemptcount;
DROP TABLE postbacks_deliveryminute, postbacks_deliverytail, postbacks_attemptminute, postbacks_attempttail;
DROP FUNCTION postbacks_latency_bucket(integer);
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0009_room_and_vacuum")]

    operations = [
        migrations.RunSQL(
            DELIVERIES
            + ATTEMPTS
            + BUCKET
            + counted("delivery", "postbacks_delivery", "created_at", COUNT_DELIVERIES, MADE_ROWS)
            + counted("attempt", "postbacks_deliveryattempt", "started_at", COUNT_ATTEMPTS, STARTED_ROWS),
            UNDO,
        ),
        migrations.CreateModel(
            name="AttemptCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "config_id",
                        "starts_at",
                        "status",
                        "bucket",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("config_id", models.UUIDField()),
                ("starts_at", models.DateTimeField()),
                ("status", models.CharField(max_length=8)),
                ("bucket", models.SmallIntegerField()),
                ("number", models.IntegerField()),
            ],
            options={
                "db_table": "postbacks_attemptcount",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="DeliveryCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "config_id", "starts_at", "state", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("config_id", models.UUIDField()),
                ("starts_at", models.DateTimeField()),
                ("state", models.CharField(max_length=10)),
                ("number", models.IntegerField()),
            ],
            options={
                "db_table": "postbacks_deliverycount",
                "managed": False,
            },
        ),
    ]
