"""Entries written before the audit log had a page do not say whose game they belong to: their creation does."""

from django.db import migrations

OF_GAMES = """
UPDATE auditlog_logentry AS entry
   SET additional_data = jsonb_build_object('game', entry.object_id)
  FROM django_content_type AS kind
 WHERE kind.id = entry.content_type_id AND kind.app_label = 'audience' AND kind.model = 'game'
   AND entry.additional_data IS NULL AND entry.object_id IS NOT NULL
"""
# Every model that is logged has a foreign key `game`, which never changes: its creation is {"game": ["None", "5"]}.
OF_THE_OTHERS = r"""
UPDATE auditlog_logentry AS entry
   SET additional_data = jsonb_build_object('game', (made.changes -> 'game' ->> 1)::bigint)
  FROM auditlog_logentry AS made
 WHERE made.content_type_id = entry.content_type_id AND made.object_pk = entry.object_pk AND made.action = 0
   AND made.changes -> 'game' ->> 1 ~ '^\d+$'
   AND entry.additional_data IS NULL
"""


class Migration(migrations.Migration):
    dependencies = [("audience", "0007_audit_entries_by_game")]

    # What was filled in may stay: nothing before this read it.
    operations = [
        migrations.RunSQL(OF_GAMES, migrations.RunSQL.noop),
        migrations.RunSQL(OF_THE_OTHERS, migrations.RunSQL.noop),
    ]
