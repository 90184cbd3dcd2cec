"""What a delivery keeps for networks that need an object id or a moment to wait for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0021_not_from_server")]
    operations = [
        migrations.AddField("delivery", "object_id", models.CharField(blank=True, db_default="", max_length=64)),
        migrations.AddField(
            "delivery",
            "not_before",
            models.DateTimeField(blank=True, help_text="The network refuses it before this moment.", null=True),
        ),
    ]
