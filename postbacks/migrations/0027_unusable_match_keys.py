"""Which match keys the event of an attempt stated in a form that was not sent."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0026_orders_and_values")]
    operations = [
        migrations.AddField(
            "deliveryattempt",
            "unusable",
            models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list),
        ),
    ]
