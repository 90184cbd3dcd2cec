"""The receipts of a game, newest first: for its Privacy page and the list of the admin.

The index of the foreign key becomes the beginning of the new one. No table is locked against writers meanwhile, hence no
transaction around it; what was cut short may run again.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

OLD = "audience_erasure_game_id_36ce9a0c"
NEWEST = models.Index(fields=["game", "-requested_at"], name="erasure_newest")
GAME = models.ForeignKey(
    db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="erasures", to="audience.game"
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audience", "0049_management_api")]
    operations = [
        # Cut short, the next statement leaves an index that is not valid.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS erasure_newest", migrations.RunSQL.noop),
        AddIndexConcurrently("erasure", NEWEST),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {OLD}",
                    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {OLD} ON audience_erasure (game_id)",
                )
            ],
            state_operations=[migrations.AlterField("erasure", "game", GAME)],
        ),
    ]
