"""The cookies of a network by their names, in place of one column for a single cookie.

The new column keeps a default in the database: processes of the version before go on writing meanwhile.
"""

from django.db import migrations, models
from django.db.models import Value


class Migration(migrations.Migration):
    dependencies = [("audience", "0028_requests_that_cannot_be_updated")]
    operations = [
        migrations.AddField(
            "touch",
            "cookies",
            models.JSONField(blank=True, db_default=Value({}, models.JSONField()), default=dict),
        ),
        migrations.AlterField("touch", "browser_id", models.CharField(blank=True, max_length=256)),
    ]
