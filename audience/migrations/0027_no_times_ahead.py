"""Players, ids, clicks, devices and groups of a time that has not come yet: what a later event says of a trait, a token
or a group would be passed over until then. Such times do not come in any more (audience/intake/messages/times.py)."""

from django.db import migrations

COLUMNS = {
    "audience_person": ("first_seen_at", "last_seen_at"),
    "audience_identity": ("first_seen_at",),
    "audience_touch": ("clicked_at",),
    "audience_device": ("updated_at",),
    "audience_group": ("updated_at",),
}
BOUND = "UPDATE {table} SET {column} = now() WHERE {column} > now()"
# {"<trait>": "<ISO time>"}
TRAITS = """
UPDATE audience_person SET trait_times = (
  SELECT jsonb_object_agg(name, to_jsonb(least(at::timestamptz, now()))) FROM jsonb_each_text(trait_times) AS t (name, at)
) WHERE EXISTS (SELECT FROM jsonb_each_text(trait_times) AS t (name, at) WHERE at::timestamptz > now())
"""
REPAIRS = [BOUND.format(table=table, column=column) for table, names in COLUMNS.items() for column in names]


class Migration(migrations.Migration):
    dependencies = [("audience", "0026_restricted_and_server_keys")]
    operations = [migrations.RunSQL([*REPAIRS, TRAITS], migrations.RunSQL.noop)]
