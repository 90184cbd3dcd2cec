import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Digests and tests are notices too, and an alert knows since when all is well again."""

    dependencies = [
        ("audience", "0005_goal_events"),
        ("postbacks", "0004_require_deadlines"),
    ]

    operations = [
        migrations.AddField(
            model_name="alert",
            name="good_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        # Nothing has written a notice before this migration, so that no row asks for the default.
        migrations.AddField(
            model_name="notice",
            name="game",
            field=models.ForeignKey(
                default=0, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="audience.game"
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="notice",
            name="alert",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notices",
                to="postbacks.alert",
            ),
        ),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("opened", "Alert"),
                    ("recovered", "Recovered"),
                    ("digest", "Daily digest"),
                    ("test", "Test"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(fields=["game", "-created_at"], name="notice_newest"),
        ),
    ]
