"""No foreign keys of attempts in the database: checking them locks the delivery and the config once more, row by row.

A claim has just read and locked both. It was a tenth of what a delivery costs.
"""

from django.db import migrations, models
from django.db.models import CASCADE

UNCHECKED = {"db_constraint": False, "db_index": False, "related_name": "attempts"}


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0010_counts_by_the_minute")]
    operations = [
        migrations.AlterField(
            "deliveryattempt", "delivery", models.ForeignKey("postbacks.delivery", CASCADE, **UNCHECKED)
        ),
        migrations.AlterField(
            "deliveryattempt", "config", models.ForeignKey("postbacks.postbackconfig", CASCADE, **UNCHECKED)
        ),
    ]
