"""What reports of campaigns need: a time zone, a currency and rates of a game, clicks by time, activity of players."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audience", "0043_events_of_weak_ids")]

    operations = [
        migrations.AddField(
            model_name="game",
            name="reporting_currency",
            field=models.CharField(
                db_default="USD",
                default="USD",
                help_text="In which reports add up amounts of all currencies.",
                max_length=3,
            ),
        ),
        migrations.AddField(
            model_name="game",
            name="time_zone",
            field=models.CharField(
                db_default="UTC",
                default="UTC",
                help_text="In which the days of reports begin: Europe/Berlin.",
                max_length=64,
            ),
        ),
        migrations.AlterField(
            model_name="touch",
            name="game",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="audience.game"
            ),
        ),
        migrations.AddIndex(
            model_name="touch", index=models.Index(fields=["game", "clicked_at"], name="touch_by_time")
        ),
        migrations.CreateModel(
            name="ActiveQuarter",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "game_id", "person_id", "starts_at", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("game_id", models.BigIntegerField()),
                ("person_id", models.UUIDField()),
                ("starts_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="ExchangeRate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("currency", models.CharField(max_length=3)),
                ("rate", models.DecimalField(decimal_places=8, max_digits=20)),
                (
                    "game",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="exchange_rates",
                        to="audience.game",
                    ),
                ),
            ],
            options={
                "ordering": ["currency"],
                "constraints": [
                    models.UniqueConstraint(fields=("game", "currency"), name="one_rate_per_currency"),
                    models.CheckConstraint(condition=models.Q(("rate__gt", 0)), name="rate_is_positive"),
                ],
            },
        ),
    ]
