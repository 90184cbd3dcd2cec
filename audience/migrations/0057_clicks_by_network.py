"""The clicks of a network: for the lists of its conversions, where the network has few clicks of many.

No table is locked against writers meanwhile, hence no transaction around it; what was cut short may run again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

BY_NETWORK = models.Index(fields=["game", "network"], name="touch_by_network")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("audience", "0056_newest_of_lists")]
    operations = [
        # Cut short, the next statement leaves an index that is not valid.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS touch_by_network", migrations.RunSQL.noop),
        AddIndexConcurrently("touch", BY_NETWORK),
    ]
