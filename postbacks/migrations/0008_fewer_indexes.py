"""Indexes that Django gives every foreign key, where another index or the constraint begins with the same column.

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
    table, column = f"postbacks_{model}", f"{field}_id"
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


MAY_GO = {"null": True, "on_delete": django.db.models.deletion.SET_NULL, "related_name": "deliveries"}


class Migration(migrations.Migration):
    dependencies = [("audience", "0009_days_that_events_are_kept"), ("postbacks", "0007_attempts_by_status")]

    operations = [
        unindexed("delivery", "config", "postbacks.postbackconfig", related_name="deliveries"),
        unindexed("delivery", "conversion", "audience.conversion", **MAY_GO),
        unindexed("delivery", "game", "audience.game", related_name="+"),
        unindexed("delivery", "replay", "postbacks.replay", blank=True, **MAY_GO),
        unindexed("deliveryattempt", "config", "postbacks.postbackconfig", related_name="attempts"),
        unindexed("deliveryattempt", "delivery", "postbacks.delivery", related_name="attempts"),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("replay", None), _negated=True), fields=["replay"], name="delivery_of_replay"
            ),
        ),
    ]
