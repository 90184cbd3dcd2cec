"""Indexes for the newest rows of two lists: suppressions, and the audit log of one kind or action."""

from django.db import migrations, models

BY_KIND = """
CREATE INDEX IF NOT EXISTS audit_entries_by_kind
    ON auditlog_logentry ((additional_data ->> 'game'), content_type_id, timestamp DESC, id DESC)
"""
BY_ACTION = """
CREATE INDEX IF NOT EXISTS audit_entries_by_action
    ON auditlog_logentry ((additional_data ->> 'game'), action, timestamp DESC, id DESC)
"""


class Migration(migrations.Migration):
    dependencies = [("audience", "0055_modeled_matches")]

    operations = [
        migrations.RunSQL(BY_KIND, "DROP INDEX IF EXISTS audit_entries_by_kind"),
        migrations.RunSQL(BY_ACTION, "DROP INDEX IF EXISTS audit_entries_by_action"),
        migrations.AddIndex("suppression", models.Index(fields=["game", "-created_at"], name="suppression_newest")),
    ]
