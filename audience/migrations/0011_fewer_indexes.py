"""Indexes that Django gives every foreign key, where another index begins with the same column or nothing reads it; and
the list of players by when they were first seen, which does not change at every sighting.

Only the index goes: told to alter the field, Django would check every row's foreign key anew.
"""

import django.db.models.deletion
from django.db import migrations, models

# Made by Django, hence its name ends in a hash.
DROP = """
DO $$ DECLARE found text; BEGIN
  FOR found IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = '{table}'
    AND indexname ~ '^{table}_{column}_[0-9a-f]{{8}}$'
  LOOP EXECUTE format('DROP INDEX %I', found); END LOOP;
END $$;
"""


def unindexed(model, field, to, *, on_delete=django.db.models.deletion.CASCADE, **given):
    table, column = f"audience_{model}", f"{field}_id"
    return migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.RunSQL(
                DROP.format(table=table, column=column), f"CREATE INDEX {table}_{column}_00000000 ON {table} ({column})"
            )
        ],
        state_operations=[
            migrations.AlterField(
                model_name=model, name=field, field=models.ForeignKey(db_index=False, on_delete=on_delete, to=to, **given)
            )
        ],
    )


KEY = {"null": True, "on_delete": django.db.models.deletion.SET_NULL, "related_name": "+"}


class Migration(migrations.Migration):
    dependencies = [("audience", "0010_batch_partitions")]

    operations = [
        unindexed("batch", "game", "audience.game", related_name="+"),
        unindexed("batch", "key", "audience.apikey", **KEY),
        unindexed("conversion", "game", "audience.game", related_name="conversions"),
        unindexed("conversion", "person", "audience.person", related_name="conversions"),
        unindexed("person", "game", "audience.game", related_name="people"),
        unindexed("rejection", "game", "audience.game", related_name="rejections"),
        unindexed("rejection", "key", "audience.apikey", **KEY),
        migrations.RemoveIndex(model_name="person", name="people_newest"),
        migrations.AddIndex(
            model_name="person",
            index=models.Index(fields=["game", "-first_seen_at"], name="people_newest"),
        ),
    ]
