from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0029_reasons_of_unmapped_and_limited_events")]

    operations = [
        migrations.AlterField(
            model_name="delivery",
            name="confirmation",
            field=models.CharField(
                blank=True,
                choices=[
                    ("awaited", "To be confirmed"),
                    ("confirmed", "Confirmed"),
                    ("refused", "Refused later"),
                    ("unknown", "Not confirmed in time"),
                    ("unmatched", "Unmatched: the network knows no such click"),
                    ("again", "To be sent again"),
                ],
                db_default="",
                max_length=9,
            ),
        ),
    ]
