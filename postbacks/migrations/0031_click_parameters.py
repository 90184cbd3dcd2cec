"""The click parameters that postbacks of “Custom URL” name."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0030_unmatched_and_repeated_confirmations")]
    operations = [
        migrations.AddField(
            "postbackconfig",
            "click_parameters",
            ArrayField(
                models.CharField(max_length=32), blank=True, db_default=[], default=list, editable=False, size=None
            ),
        ),
        migrations.AddField(
            "configversion",
            "click_parameters",
            ArrayField(models.CharField(max_length=32), blank=True, db_default=[], default=list, size=None),
        ),
    ]
