"""What the networks answered about players who were erased before the answers went with them."""

from django.db import migrations

FORGET = """
UPDATE postbacks_deliveryattempt attempt SET payload = NULL, message = '', provider_code = '', request_id = ''
FROM postbacks_delivery delivery
WHERE delivery.id = attempt.delivery_id AND delivery.conversion_id IS NULL
  AND (attempt.payload IS NOT NULL OR attempt.message <> '' OR attempt.provider_code <> '' OR attempt.request_id <> '')
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0019_database_times")]
    operations = [migrations.RunSQL(FORGET, migrations.RunSQL.noop)]
