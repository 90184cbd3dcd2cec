"""Attribution windows of single ad networks."""

import audience.models.games
from django.db import migrations, models
from django.db.models import JSONField, Value


class Migration(migrations.Migration):
    dependencies = [("audience", "0047_plain_labels_and_help")]
    operations = [
        migrations.AddField(
            model_name="game",
            name="network_windows",
            field=models.JSONField(
                blank=True,
                db_default=Value({}, JSONField()),
                default=dict,
                help_text='Attribution windows in days of single ad networks, by the network of the click: {"tiktok": 7}.',
                validators=[audience.models.games.validate_windows],
            ),
        ),
    ]
