"""The token that a check was requested with, for the audit log."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0043_steam_numbers")]
    operations = [
        migrations.AddField(
            "credentialcheck",
            "requested_as",
            models.CharField(blank=True, db_default="", default="", editable=False, max_length=254),
        ),
    ]
