"""Conversions whose amount is their property `revenue` or `total` get it as their value; it was sent, but not shown."""

from django.db import migrations

FILL = r"""
UPDATE audience_conversion SET value = round(coalesce(
    substring(properties ->> 'revenue' FROM '^\d{1,13}(?:\.\d+)?$')::numeric,
    substring(properties ->> 'total' FROM '^\d{1,13}(?:\.\d+)?$')::numeric), 6)
WHERE value IS NULL AND currency <> '' AND properties ?| ARRAY['revenue', 'total']
"""


class Migration(migrations.Migration):
    dependencies = [("audience", "0038_counts_without_repeated_orders")]
    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
