"""The credential checks of a game, newest first: for the list of the admin.

The index of the foreign key becomes the beginning of the new one. No table is locked against writers meanwhile, hence no
transaction around it; what was cut short may run again.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

OLD = "postbacks_credentialcheck_game_id_4a0e2c8a"
NEWEST = models.Index(fields=["game", "-created_at"], name="check_of_game")
GAME = models.ForeignKey(
    db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="audience.game"
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("postbacks", "0041_messages_to_webhooks")]
    operations = [
        # Cut short, the next statement leaves an index that is not valid.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS check_of_game", migrations.RunSQL.noop),
        AddIndexConcurrently("credentialcheck", NEWEST),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {OLD}",
                    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {OLD} ON postbacks_credentialcheck (game_id)",
                )
            ],
            state_operations=[migrations.AlterField("credentialcheck", "game", GAME)],
        ),
    ]
