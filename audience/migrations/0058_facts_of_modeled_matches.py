from django.db import migrations, models
from django.utils import timezone


class Migration(migrations.Migration):
    dependencies = [
        ("audience", "0057_clicks_by_network"),
    ]

    operations = [
        migrations.AddField(
            model_name="modeledmatch",
            name="launched_at",
            # 0059 stores the times of the launches, and the facts of the clicks.
            field=models.DateTimeField(
                default=timezone.now, help_text="The time of the launch, as in its conversion."
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="modeledmatch",
            name="network",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
        migrations.AddField(
            model_name="modeledmatch",
            name="campaign",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddIndex(
            model_name="modeledmatch",
            index=models.Index(fields=["game", "launched_at"], name="modeled_match_by_time"),
        ),
    ]
