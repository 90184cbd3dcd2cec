"""What PostgreSQL is told of the tables whose rows are updated again and again.

audience_person: a row is updated whenever the player is seen. No index has a column that changes then, so that the new
version goes into the same page without an index entry, as long as the page has room: a fifth is left free. Vacuum comes
at 5 % dead rows instead of 20 %, so that the pages of busy players are cleaned before they are full.

The batches' settings are their partitions' (0010, audience/storage/partitions.py); events are written once.
"""

from django.db import migrations

PERSON = "fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05"
DEFAULTS = "fillfactor, autovacuum_vacuum_scale_factor"


class Migration(migrations.Migration):
    dependencies = [("audience", "0011_fewer_indexes")]
    operations = [
        migrations.RunSQL(f"ALTER TABLE audience_person SET ({PERSON})", f"ALTER TABLE audience_person RESET ({DEFAULTS})")
    ]
