"""No page reads the counts of deliveries by state any more: figures count conversions (postbacks/reporting/figures.py).

Their triggers took part in every insert and update of a delivery.
"""

from importlib import import_module

from django.db import migrations

COUNTS = import_module("postbacks.migrations.0010_counts_by_the_minute")
DROP = """
DROP TRIGGER count_new ON postbacks_delivery;
DROP TRIGGER count_changed ON postbacks_delivery;
DROP FUNCTION postbacks_count_delivery();
DROP VIEW postbacks_deliverycount;
DROP TABLE postbacks_deliveryminute, postbacks_deliverytail;
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0038_plain_labels_and_help")]

    operations = [
        migrations.RunSQL(
            DROP,
            COUNTS.DELIVERIES
            + COUNTS.counted(
                "delivery", "postbacks_delivery", "created_at", COUNTS.COUNT_DELIVERIES, COUNTS.MADE_ROWS
            ),
        ),
        migrations.DeleteModel(name="DeliveryCount"),
    ]
