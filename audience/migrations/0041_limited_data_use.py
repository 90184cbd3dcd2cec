"""The rule of a game that ad networks may use its data in a limited way only."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audience", "0040_clicks")]
    operations = [
        migrations.AddField(
            "game",
            "limited_data_use",
            models.BooleanField(
                db_default=False,
                default=False,
                help_text="Ask ad networks for limited data use with every conversion.",
            ),
        ),
    ]
