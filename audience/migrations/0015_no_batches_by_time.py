"""No index of a game's batches by time: its one reader, the counts of the Hub, asks the rollup (0013)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("audience", "0014_batches_without_checks")]
    operations = [migrations.RemoveIndex("batch", "batch_by_time")]
