"""Work that failed when it was tried alone: normally an empty table."""

from django.db import migrations, models
from django.db.models.deletion import CASCADE
from django.utils import timezone

QUEUES = [
    ("fan_out", "Fan-out of conversions"),
    ("sending", "Sending of postbacks"),
    ("closing", "Recording of answers"),
    ("check", "Credential checks"),
    ("upkeep", "Upkeep of postbacks"),
    ("alert", "Alerts"),
    ("notice", "Alert messages"),
    ("alert_digest", "Daily digests"),
    ("replay", "Replays"),
    ("erasure", "Erasures"),
    ("rollup", "Counts for charts"),
    ("prune", "Pruning"),
    ("partition", "Partitions"),
]
GAME_HELP = "None for a step that concerns every game."
ROW_HELP = "The primary key of the row, or the name of the step."
ERROR_HELP = "What the last attempt failed with; it quotes no data."


class Migration(migrations.Migration):
    dependencies = [("audience", "0015_no_batches_by_time")]
    operations = [
        migrations.CreateModel(
            "FailedWork",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("queue", models.CharField(choices=QUEUES, max_length=16)),
                ("row", models.CharField(help_text=ROW_HELP, max_length=200)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("error", models.TextField(blank=True, help_text=ERROR_HELP)),
                ("kept", models.JSONField(blank=True, default=dict, editable=False)),
                ("first_failed_at", models.DateTimeField(default=timezone.now)),
                ("next_attempt_at", models.DateTimeField(default=timezone.now)),
                ("set_aside_at", models.DateTimeField(blank=True, null=True)),
                (
                    "game",
                    models.ForeignKey(
                        "audience.game",
                        CASCADE,
                        null=True,
                        blank=True,
                        db_index=False,
                        help_text=GAME_HELP,
                        related_name="failed_work",
                    ),
                ),
            ],
            options={
                "verbose_name": "failed work",
                "verbose_name_plural": "failed work",
                "constraints": [
                    models.UniqueConstraint(
                        fields=["game", "queue", "row"], nulls_distinct=False, name="one_failure_per_row_of_a_queue"
                    )
                ],
            },
        ),
    ]
