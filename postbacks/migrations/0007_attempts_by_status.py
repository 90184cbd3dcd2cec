from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("postbacks", "0006_check_knows_its_version"),
    ]

    operations = [
        # The log filtered by status (attempts.newest), the chart of the hours (hourly.per_hour), and when something was
        # last accepted (listing.config_rows).
        migrations.AddIndex(
            model_name="deliveryattempt",
            index=models.Index(fields=["config", "status", "-started_at"], name="attempt_by_status"),
        ),
    ]
