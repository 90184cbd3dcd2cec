"""Clicks: filled from every event that states them, counts of unfilled macros, and a setting for Meta's fbclid."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import JSONField, Value


class Migration(migrations.Migration):
    dependencies = [("audience", "0039_fill_values")]
    operations = [
        migrations.AddField(
            "game",
            "untagged_fbclid_is_paid",
            models.BooleanField(
                db_default=True, default=True, help_text="Meta's fbclid without UTM tags counts as a paid click."
            ),
        ),
        migrations.AddField(
            "touch",
            "parameter",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Of the click id: gclid, gbraid, ...",
                max_length=32,
            ),
        ),
        migrations.AddField(
            "touch",
            "is_repeated",
            models.BooleanField(
                db_default=False,
                default=False,
                help_text="Only stated beside the URL of another page: maybe an earlier click.",
            ),
        ),
        migrations.AddField(
            "touch",
            "fact_times",
            models.JSONField(blank=True, db_default=Value({}, JSONField()), default=dict, editable=False),
        ),
        migrations.AddIndex(
            "touch",
            models.Index(condition=models.Q(("is_repeated", True)), fields=["game", "click_id"], name="touch_repeated"),
        ),
        migrations.CreateModel(
            name="ClickMacroCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("starts_at", models.DateTimeField()),
                ("parameter", models.CharField(max_length=32)),
                ("value", models.CharField(max_length=64)),
                ("number", models.IntegerField()),
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
                        fields=("game", "starts_at", "parameter", "value"), name="one_count_per_macro"
                    )
                ],
            },
        ),
    ]
