"""Ids and consent decisions in a form that is not canonical get it; identities keep the form that was sent.

Where the canonical form is known too, both identities and their persons stay as they are: what is sent from now on
belongs to the canonical one.
"""

from typing import Any

from django.db import migrations

BATCH = 50_000
IDENTITIES = """
UPDATE audience_identity sent SET value = audience_canonical_id(value), spellings = ARRAY[value]
FROM (
  SELECT DISTINCT ON (game_id, namespace, audience_canonical_id(value)) id FROM audience_identity
  WHERE id BETWEEN %s AND %s AND value <> audience_canonical_id(value)
  ORDER BY game_id, namespace, audience_canonical_id(value), id
) AS first
WHERE sent.id = first.id AND NOT EXISTS (
  SELECT FROM audience_identity known WHERE (known.game_id, known.namespace, known.value)
    = (sent.game_id, sent.namespace, audience_canonical_id(sent.value)))
"""
AS_SENT = """
UPDATE audience_identity canonical SET value = spellings[1]
WHERE id BETWEEN %s AND %s AND spellings <> '{}' AND NOT EXISTS (
  SELECT FROM audience_identity known WHERE (known.game_id, known.namespace, known.value)
    = (canonical.game_id, canonical.namespace, canonical.spellings[1]))
"""
DECISIONS = """
UPDATE consent_consentdecision SET anonymous_id = audience_canonical_id(anonymous_id)
WHERE id BETWEEN %s AND %s AND anonymous_id <> audience_canonical_id(anonymous_id)
  AND length(audience_canonical_id(anonymous_id)) <= 256
"""


def fill(apps: Any, schema_editor: Any) -> None:
    run(schema_editor, "audience_identity", IDENTITIES)
    run(schema_editor, "consent_consentdecision", DECISIONS)


def undo(apps: Any, schema_editor: Any) -> None:
    """Decisions stay as they are."""
    run(schema_editor, "audience_identity", AS_SENT)


def run(schema_editor: Any, table: str, query: str) -> None:
    """In batches, each committed: a restart goes on where it stopped."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM {table}")
        first, last = cursor.fetchone()
        for start in range(first, last + 1, BATCH):
            cursor.execute(query, [start, start + BATCH - 1])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audience", "0034_ids_as_sent"), ("consent", "0001_initial")]
    operations = [migrations.RunPython(fill, undo)]
