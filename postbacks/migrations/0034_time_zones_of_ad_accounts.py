"""The time zone of the ad account of a postback."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0033_mails_that_were_logged")]
    operations = [
        migrations.AddField(
            model_name="credentialcheck",
            name="time_zone",
            field=models.CharField(db_default="UTC", default="UTC", max_length=64),
        ),
        migrations.AddField(
            model_name="postbackconfig",
            name="time_zone",
            field=models.CharField(db_default="UTC", default="UTC", max_length=64),
        ),
    ]
