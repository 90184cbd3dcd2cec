"""The audit log of one game, newest first, from one index (audience/accounts/audit_log.py: entries)."""

from django.db import migrations

INDEX = """
CREATE INDEX IF NOT EXISTS audit_entries_by_game
    ON auditlog_logentry ((additional_data ->> 'game'), timestamp DESC, id DESC)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audience", "0006_invitations"),
        ("auditlog", "0017_add_actor_email"),
    ]

    operations = [migrations.RunSQL(INDEX, "DROP INDEX IF EXISTS audit_entries_by_game")]
