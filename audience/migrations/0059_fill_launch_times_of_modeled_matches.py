from django.db import migrations

FILL = """
UPDATE audience_modeledmatch AS matched SET launched_at = conversion.event_at
FROM audience_conversion AS conversion WHERE conversion.id = matched.conversion_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audience", "0058_launch_times_of_modeled_matches"),
    ]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
