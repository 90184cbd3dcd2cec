"""Batch's table anew, partitioned by the week of `received_at`: its rows move over, its columns stay as they are.

A month of a busy game is many million rows, which are now dropped week by week (audience/storage/prune.py).
"""

from datetime import UTC, date, datetime, timedelta

from django.db import migrations

# Batches are kept 31 days; older ones still to be digested go to the default partition.
WEEKS_BACK = 5
WEEKS_AHEAD = 2
SETTINGS = "autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02"

# As audience/models/events.py had them: due, set_aside, by_time.
INDEXES = """
CREATE INDEX batch_due ON audience_batch (next_attempt_at, id) WHERE state = 'pending';
CREATE INDEX batch_set_aside ON audience_batch (id) WHERE state = 'failed';
CREATE INDEX batch_by_time ON audience_batch (game_id, received_at);
"""


def partition(apps, schema_editor):
    def fill():
        monday = _monday(datetime.now(UTC).date())
        for week in range(-WEEKS_BACK, WEEKS_AHEAD + 1):
            start = monday + timedelta(weeks=week)
            schema_editor.execute(
                f"CREATE TABLE audience_batch_{start:%Y%m%d} PARTITION OF audience_batch_new FOR VALUES "
                f"FROM ('{start} 00:00+00') TO ('{start + timedelta(weeks=1)} 00:00+00') WITH ({SETTINGS})"
            )
        schema_editor.execute(
            f"CREATE TABLE audience_batch_default PARTITION OF audience_batch_new DEFAULT WITH ({SETTINGS})"
        )

    _rebuild(schema_editor, partitioned="PARTITION BY RANGE (received_at)", key="id, received_at", fill=fill)


def join(apps, schema_editor):
    _rebuild(schema_editor, partitioned="", key="id", fill=lambda: None)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _rebuild(schema_editor, *, partitioned, key, fill):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("LOCK TABLE audience_batch IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = 'audience_batch'::regclass AND contype = 'f'"
        )
        foreign_keys = cursor.fetchall()
        cursor.execute("SELECT nextval(pg_get_serial_sequence('audience_batch', 'id'))")
        next_id = cursor.fetchone()[0]
    schema_editor.execute(
        "CREATE TABLE audience_batch_new (LIKE audience_batch INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY)"
        f" {partitioned}"
    )
    fill()
    schema_editor.execute("INSERT INTO audience_batch_new SELECT * FROM audience_batch")
    schema_editor.execute("DROP TABLE audience_batch")
    schema_editor.execute("ALTER TABLE audience_batch_new RENAME TO audience_batch")
    schema_editor.execute("ALTER SEQUENCE audience_batch_new_id_seq RENAME TO audience_batch_id_seq")
    schema_editor.execute(f"ALTER TABLE audience_batch ALTER COLUMN id RESTART WITH {next_id}")
    schema_editor.execute(f"ALTER TABLE audience_batch ADD CONSTRAINT audience_batch_pkey PRIMARY KEY ({key})")
    for name, definition in foreign_keys:
        schema_editor.execute(f'ALTER TABLE audience_batch ADD CONSTRAINT "{name}" {definition}')
    schema_editor.execute(INDEXES)


class Migration(migrations.Migration):
    dependencies = [("audience", "0009_days_that_events_are_kept")]
    operations = [migrations.RunPython(partition, join)]
