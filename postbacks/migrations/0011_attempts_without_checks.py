"""No foreign keys of attempts in the database: checking them locks the delivery and the config once more, row by row.

A claim has just read and locked both. It was a tenth of what a delivery costs.
"""

from django.db import migrations, models
from django.db.models import CASCADE

# In the order in which a claim takes them, so that neither waits for the other; not for ever, since whoever
# comes next waits behind us. A migration that gave up may be run again.
LOCK = """
SET LOCAL lock_timeout = '5s';
LOCK TABLE postbacks_postbackconfig, postbacks_delivery, postbacks_deliveryattempt IN ACCESS EXCLUSIVE MODE;
"""
UNCHECKED = {"db_constraint": False, "db_index": False, "related_name": "attempts"}


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0010_counts_by_the_minute")]
    operations = [
        migrations.RunSQL(LOCK, LOCK),
        migrations.AlterField(
            "deliveryattempt", "delivery", models.ForeignKey("postbacks.delivery", CASCADE, **UNCHECKED)
        ),
        migrations.AlterField(
            "deliveryattempt", "config", models.ForeignKey("postbacks.postbackconfig", CASCADE, **UNCHECKED)
        ),
    ]
