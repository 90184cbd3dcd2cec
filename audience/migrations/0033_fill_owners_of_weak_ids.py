"""An anonymous or device id of a person with a user id has that person as its owner, since it was first seen."""

from typing import Any

from django.db import migrations

BATCH = 50_000
FILL = """
UPDATE audience_identity weak SET owners = 'one', named_at = first_seen_at
WHERE id BETWEEN %s AND %s AND namespace IN ('anonymous', 'device') AND owners = '' AND EXISTS (
    SELECT FROM audience_identity strong
    WHERE strong.person_id = weak.person_id AND strong.namespace NOT IN ('anonymous', 'device'))
"""


def fill(apps: Any, schema_editor: Any) -> None:
    """In batches, each committed: a restart goes on where it stopped."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM audience_identity")
        first, last = cursor.fetchone()
        for start in range(first, last + 1, BATCH):
            cursor.execute(FILL, [start, start + BATCH - 1])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audience", "0032_owners_of_weak_ids")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
