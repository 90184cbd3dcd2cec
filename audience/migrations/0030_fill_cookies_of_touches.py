"""The cookies of the touches there are, from the column that held one."""

from django.db import migrations

FILL = """
UPDATE audience_touch SET cookies = jsonb_build_object(
    CASE network WHEN 'tiktok' THEN '_ttp' ELSE '_rdt_uuid' END, browser_id)
WHERE browser_id <> '' AND network IN ('tiktok', 'reddit') AND cookies = '{}'
"""


class Migration(migrations.Migration):
    dependencies = [("audience", "0029_cookies_of_touches")]
    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
