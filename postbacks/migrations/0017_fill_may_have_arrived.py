"""Which deliveries that are not delivered had a call without an answer, by the words that were written on it."""

from django.db import migrations

# What an attempt said of a call that may have arrived, up to now. One that timed out may not have connected either.
SAID = """('No answer within 10 s', 'The connection was closed before an answer came', 'The answer could not be read')"""
FILL = f"""
UPDATE postbacks_delivery delivery SET may_have_arrived = true
WHERE state <> 'delivered' AND attempts_made > 0 AND verdict <> 'payload' AND EXISTS (
  SELECT 1 FROM postbacks_deliveryattempt attempt
  WHERE attempt.delivery_id = delivery.id AND attempt.http_status IS NULL
    AND (attempt.message IN {SAID} OR attempt.message LIKE 'The worker stopped before the answer came%'
      OR attempt.message LIKE 'Afterclick failed while sending this%'))
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0016_may_have_arrived")]
    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
