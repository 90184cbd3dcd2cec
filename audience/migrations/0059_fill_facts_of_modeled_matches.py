from django.db import migrations

FILL = """
UPDATE audience_modeledmatch AS matched SET launched_at = conversion.event_at,
  network = coalesce(touch.network, ''), campaign = coalesce(audience_campaign_name(touch.campaign), '')
FROM audience_conversion AS conversion, audience_modeledmatch AS own
LEFT JOIN audience_touch AS touch ON touch.id = own.touch_id
WHERE conversion.id = matched.conversion_id AND own.id = matched.id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audience", "0058_facts_of_modeled_matches"),
    ]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
