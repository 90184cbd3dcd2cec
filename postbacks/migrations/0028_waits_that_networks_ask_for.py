"""Until when a network asks to wait, which the pages show."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0027_unusable_match_keys")]
    operations = [
        migrations.AddField(
            "delivery",
            "asked_until",
            models.DateTimeField(
                blank=True,
                null=True,
                help_text="Until when the network's last answer asks to wait, which may be longer.",
            ),
        ),
        migrations.AddField("flow", "asked_until", models.DateTimeField(blank=True, null=True)),
    ]
