"""How the alerts that are over ended. Of those of postbacks that were switched off nobody can tell any more."""

from django.db import migrations

FILL = """
UPDATE postbacks_alert alert
SET ending = CASE WHEN config.deleted_at <= alert.recovered_at THEN 'deleted' ELSE 'recovered' END
FROM postbacks_postbackconfig config
WHERE config.id = alert.config_id AND alert.recovered_at IS NOT NULL AND alert.ending = ''
"""


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0014_deleted_postbacks")]
    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
