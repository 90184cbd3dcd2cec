"""One more queue of failed work."""

from django.db import migrations, models

QUEUES = [
    ("batch", "Requests that cannot be updated"),
    ("fan_out", "Fan-out of conversions"),
    ("sending", "Sending of postbacks"),
    ("closing", "Recording of answers"),
    ("confirmation", "Confirmations of deliveries"),
    ("check", "Credential checks"),
    ("upkeep", "Upkeep of postbacks"),
    ("alert", "Alerts"),
    ("notice", "Alert messages"),
    ("alert_digest", "Daily digests"),
    ("replay", "Replays"),
    ("erasure", "Erasures"),
    ("rollup", "Counts for charts"),
    ("prune", "Pruning"),
    ("partition", "Partitions"),
]


class Migration(migrations.Migration):
    dependencies = [("audience", "0030_fill_cookies_of_touches")]
    operations = [migrations.AlterField("failedwork", "queue", models.CharField(choices=QUEUES, max_length=16))]
