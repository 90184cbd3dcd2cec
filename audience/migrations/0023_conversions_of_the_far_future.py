"""Conversions that could not be given to the postbacks, since after their time the calendar has no room for a deadline.

A client's clock is not believed beyond the moment of receipt: they happened when they were received. Such times do not
come in any more.
"""

from django.db import migrations

REPAIR = """
UPDATE audience_conversion conversion SET event_at = coalesce((
    SELECT event.received_at FROM audience_event event
    WHERE event.game_id = conversion.game_id AND event.day = conversion.event_day
      AND event.message_id = conversion.message_id
  ), conversion.created_at)
WHERE conversion.fanned_out_at IS NULL AND conversion.event_at > conversion.created_at + interval '1 day'
"""


class Migration(migrations.Migration):
    dependencies = [("audience", "0022_addresses_that_were_proven")]
    operations = [migrations.RunSQL(REPAIR, migrations.RunSQL.noop)]
