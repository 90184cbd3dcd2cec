"""The event catalog: counts of what games send (audience/digest/event_counts.py), and descriptions of events."""

import audience.database.clock
import audience.models.games
import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# Rows of today are updated by every digest. An update that finds room in its page changes no index.
COUNTS = ("eventcount", "propertycount", "sendercount", "valueproblemcount")
ROOM = [f"ALTER TABLE audience_{name} SET (fillfactor = 70)" for name in COUNTS]


class Migration(migrations.Migration):
    dependencies = [
        ("audience", "0051_suppressions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="is_counted",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Whether it was handed to the event catalog.",
            ),
        ),
        migrations.CreateModel(
            name="DescribedEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=256)),
                ("description", models.CharField(blank=True, max_length=500)),
                (
                    "required",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=116), blank=True, default=list, size=None
                    ),
                ),
                (
                    "version",
                    models.PositiveIntegerField(default=1, editable=False, help_text="Every change creates a version."),
                ),
                ("updated_at", models.DateTimeField(default=audience.database.clock.now, editable=False)),
                (
                    "game",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="described_events",
                        to="audience.game",
                    ),
                ),
                (
                    "updated_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("game", "name"), name="one_description_per_event")],
            },
            bases=(audience.models.games.AuditedInGame, models.Model),
        ),
        migrations.CreateModel(
            name="EventCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("test", models.BooleanField()),
                ("kind", models.CharField(max_length=8)),
                ("name", models.CharField(max_length=256)),
                ("number", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
                (
                    "game",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="audience.game",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("game", "day", "test", "kind", "name"), name="one_count_per_event")
                ],
            },
        ),
        migrations.CreateModel(
            name="PropertyCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("test", models.BooleanField()),
                ("kind", models.CharField(max_length=8)),
                ("name", models.CharField(max_length=256)),
                ("path", models.CharField(max_length=100)),
                ("type", models.CharField(max_length=8)),
                ("number", models.BigIntegerField()),
                (
                    "game",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="audience.game",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("game", "day", "test", "kind", "name", "path", "type"), name="one_count_per_property"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SenderCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("test", models.BooleanField()),
                ("kind", models.CharField(max_length=8)),
                ("name", models.CharField(max_length=256)),
                ("key_id", models.BigIntegerField()),
                ("library", models.CharField(max_length=64)),
                ("library_version", models.CharField(max_length=64)),
                ("number", models.BigIntegerField()),
                (
                    "game",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="audience.game",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("game", "day", "test", "kind", "name", "key_id", "library", "library_version"),
                        name="one_count_per_sender",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ValueProblemCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("test", models.BooleanField()),
                ("name", models.CharField(max_length=256)),
                ("problem", models.CharField(max_length=16)),
                ("number", models.BigIntegerField()),
                (
                    "game",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="audience.game",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("game", "day", "test", "name", "problem"), name="one_count_per_problem"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UncountedBatches",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "batch_ids",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                (
                    "game",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="audience.game",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "uncounted batches",
                "indexes": [models.Index(fields=["game", "id"], name="uncounted_by_game")],
            },
        ),
        migrations.RunSQL(ROOM, migrations.RunSQL.noop),
    ]
