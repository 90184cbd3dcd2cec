"""Room for the receipts of networks that judge later: a receipt that is cut cannot be asked about."""

from django.db import migrations, models


SHORTEN = "UPDATE postbacks_deliveryattempt SET request_id = '' WHERE length(request_id) > 128"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0023_confirmations")]
    operations = [
        migrations.AlterField("deliveryattempt", "request_id", models.CharField(blank=True, max_length=512)),
        migrations.RunSQL(migrations.RunSQL.noop, SHORTEN),
    ]
