"""No foreign keys of batches and rejections in the database: checking them locks the rows of the game and of the key.

Every request of a key wrote to the one row of that key, and two processes at once made a multixact of it.
"""

from django.db import migrations, models
from django.db.models import CASCADE, SET_NULL

# In the order in which a request takes them, so that neither waits for the other; not for ever, since whoever
# comes next waits behind us. A migration that gave up may be run again.
LOCK = """
SET LOCAL lock_timeout = '5s';
LOCK TABLE audience_rejection, audience_batch, audience_apikey, audience_game IN ACCESS EXCLUSIVE MODE;
"""
UNCHECKED = {"db_constraint": False, "db_index": False}


class Migration(migrations.Migration):
    dependencies = [("audience", "0013_counts_by_the_minute")]
    operations = [
        migrations.RunSQL(LOCK, LOCK),
        migrations.AlterField(
            "batch", "game", models.ForeignKey("audience.game", CASCADE, related_name="+", **UNCHECKED)
        ),
        migrations.AlterField(
            "batch", "key", models.ForeignKey("audience.apikey", SET_NULL, null=True, related_name="+", **UNCHECKED)
        ),
        migrations.AlterField(
            "rejection", "game", models.ForeignKey("audience.game", CASCADE, related_name="rejections", **UNCHECKED)
        ),
        migrations.AlterField(
            "rejection", "key", models.ForeignKey("audience.apikey", SET_NULL, null=True, related_name="+", **UNCHECKED)
        ),
    ]
