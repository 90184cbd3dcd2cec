"""What PostgreSQL is told of the tables whose rows are updated after they are written.

postbacks_delivery: taken up (a lease, in no index: the new version fits into the page's free tenth without an index
entry), then ended (in other indexes than before: an entry in each). What waits and what is held are read through indexes
whose dead entries vacuum clears, hence at 5 % instead of 20 %.

postbacks_deliveryattempt: closed once, when the body that was sent makes the row several times as long, so that no free
room would keep it in its page. Vacuum at 5 % gives the places of the short versions to the next ones.
"""

from django.db import migrations

DELIVERY = "fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05"
ATTEMPT = "autovacuum_vacuum_scale_factor = 0.05"
DEFAULTS = "fillfactor, autovacuum_vacuum_scale_factor"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0008_fewer_indexes")]
    operations = [
        migrations.RunSQL(
            f"ALTER TABLE postbacks_delivery SET ({DELIVERY})", f"ALTER TABLE postbacks_delivery RESET ({DEFAULTS})"
        ),
        migrations.RunSQL(
            f"ALTER TABLE postbacks_deliveryattempt SET ({ATTEMPT})",
            f"ALTER TABLE postbacks_deliveryattempt RESET ({DEFAULTS})",
        ),
    ]
