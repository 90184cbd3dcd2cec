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
            # 0059 stores the times of the launches.
            field=models.DateTimeField(
                default=timezone.now, help_text="The time of the launch, as in its conversion."
            ),
            preserve_default=False,
        ),
        migrations.AddIndex(
            model_name="modeledmatch",
            index=models.Index(fields=["game", "launched_at"], name="modeled_match_by_time"),
        ),
    ]
