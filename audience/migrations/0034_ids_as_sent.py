"""Ids are compared by a canonical form, and events with a placeholder in place of an id are counted.

Only ids that are sent from now on have spellings: ids in a form that is not canonical are found again when an event
names them (audience/digest/spellings.py).
"""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q, Value

# The same as audience.ids.values.canonical. PostgreSQL inlines it. The regular expression takes ten times as long as all
# else, so that it is matched last; "C" makes lower() quick.
CANONICAL = """
CREATE FUNCTION audience_canonical_id(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN octet_length(value) > length(value) THEN normalize(value, NFC)
    WHEN length(value) = 36 AND value <> lower(value COLLATE "C")
      AND value ~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$'
      THEN translate(value, 'ABCDEF', 'abcdef')
    ELSE value
  END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("audience", "0033_fill_owners_of_weak_ids")]
    operations = [
        migrations.RunSQL(CANONICAL, "DROP FUNCTION audience_canonical_id"),
        migrations.AddField(
            "identity",
            "spellings",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                blank=True,
                db_default=Value([], django.contrib.postgres.fields.ArrayField(models.TextField())),
                default=list,
                size=None,
            ),
        ),
        migrations.AddField(
            "conversion",
            "anonymous_id",
            models.TextField(blank=True, db_default="", help_text="As of its Event, in its canonical form."),
        ),
        migrations.AddField(
            "conversion",
            "moved_to",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="audience.person",
            ),
        ),
        migrations.AddIndex(
            "conversion",
            models.Index(condition=Q(("moved_to", None), _negated=True), fields=["moved_to"], name="conversion_moved"),
        ),
        migrations.CreateModel(
            name="PlaceholderCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("starts_at", models.DateTimeField()),
                ("field", models.CharField(max_length=16)),
                ("value", models.CharField(max_length=64)),
                ("number", models.IntegerField()),
                (
                    "game",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="audience.game",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("game", "starts_at", "field", "value"), name="one_count_per_placeholder"
                    )
                ],
            },
        ),
    ]
