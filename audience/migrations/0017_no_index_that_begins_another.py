"""Indexes that are the beginning of another one: each costs every row that is written, and while a game is not in
PostgreSQL's statistics yet the planner takes it for empty and prefers the short one, which finds every row of the game.

Only the index goes: told to alter the field, Django would check every row's foreign key anew. No table is locked against
writers meanwhile, hence no transaction around it; what was cut short may run again.
"""

import django.contrib.postgres.indexes
import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

APP = "audience"
GAME, PERSON = "audience.game", "audience.person"


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


# The table is as Django made it for the field `members`; only its model gets a name.
GROUP_MEMBERSHIP = [
    migrations.CreateModel(
        name="GroupMembership",
        fields=[
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            (
                "group",
                models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="audience.group"),
            ),
            ("person", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to=PERSON)),
        ],
        options={
            "db_table": "audience_group_members",
            "constraints": [
                models.UniqueConstraint(
                    fields=("group", "person"), name="audience_group_members_group_id_person_id_ba097cfd_uniq"
                )
            ],
        },
    ),
    migrations.AlterField(
        "group",
        "members",
        models.ManyToManyField(
            blank=True, related_name="groups", through="audience.GroupMembership", to="audience.person"
        ),
    ),
]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audience", "0016_failed_work")]

    operations = [
        unindexed("audience_identity_game_id_22b6af5c", "identity", "game", GAME, related_name="+"),
        unindexed("audience_device_game_id_de0c1c28", "device", "game", GAME, related_name="+"),
        unindexed("audience_group_game_id_7d9d9c80", "group", "game", GAME, related_name="+"),
        unindexed("audience_goalevent_game_id_23eb30a1", "goalevent", "game", GAME, related_name="goal_events"),
        unindexed("audience_membership_game_id_fe9326d4", "membership", "game", GAME, related_name="memberships"),
        unindexed("audience_touch_person_id_5694a794", "touch", "person", PERSON, related_name="touches"),
        migrations.SeparateDatabaseAndState(state_operations=GROUP_MEMBERSHIP),
        unindexed(
            "audience_group_members_group_id_6b130951",
            "groupmembership",
            "group",
            "audience.group",
            table="audience_group_members",
            related_name="+",
        ),
        # Cut short, the next statement leaves an index that is not valid.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS device_by_token", migrations.RunSQL.noop),
        AddIndexConcurrently(
            "device",
            django.contrib.postgres.indexes.HashIndex(
                condition=models.Q(("token", ""), _negated=True), fields=["token"], name="device_by_token"
            ),
        ),
    ]
