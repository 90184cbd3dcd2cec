"""Indexes that are the beginning of another one: each costs every row that is written, and while a game is not in
PostgreSQL's statistics yet the planner takes it for empty and prefers the short one, which finds every row of the game.

Only the index goes: told to alter the field, Django would check every row's foreign key anew. No table is locked against
writers meanwhile, hence no transaction around it; what was cut short may run again.
"""

import django.db.models.deletion
from django.db import migrations, models

APP = "postbacks"
GAME, CONFIG = "audience.game", "postbacks.postbackconfig"


def unindexed(index, model, field, to, *, table=None, **given):
    table = table or f"{APP}_{model}"
    given = {"on_delete": django.db.models.deletion.CASCADE, **given}
    return migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.RunSQL(
                f"DROP INDEX CONCURRENTLY IF EXISTS {index}",
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} ({field}_id)",
            )
        ],
        state_operations=[
            migrations.AlterField(model, field, models.ForeignKey(db_index=False, to=to, **given)),
        ],
    )


ABOUT = "The config being changed or asked about; none when one is being added."


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audience", "0017_no_index_that_begins_another"), ("postbacks", "0012_check_knows_of_its_test_code")]

    operations = [
        unindexed("postbacks_alert_game_id_909d4f68", "alert", "game", GAME, related_name="+"),
        unindexed("postbacks_alertchoice_game_id_3565c52e", "alertchoice", "game", GAME, related_name="+"),
        unindexed("postbacks_alerthook_game_id_d16bf8c7", "alerthook", "game", GAME, related_name="alert_hooks"),
        unindexed("postbacks_configversion_config_id_adc14b50", "configversion", "config", CONFIG, related_name="versions"),
        unindexed(
            "postbacks_credentialcheck_config_id_6f0feec3",
            "credentialcheck",
            "config",
            CONFIG,
            null=True,
            blank=True,
            related_name="checks",
            help_text=ABOUT,
        ),
        unindexed("postbacks_notice_game_id_b82b6b43", "notice", "game", GAME, related_name="+"),
        unindexed(
            "postbacks_notice_alert_id_79445dcf", "notice", "alert", "postbacks.alert", null=True, related_name="notices"
        ),
        unindexed("postbacks_replay_config_id_262f89d8", "replay", "config", CONFIG, related_name="replays"),
    ]
