from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0011_attempts_without_checks")]
    operations = [
        migrations.AddField(
            "credentialcheck",
            "has_test_code",
            models.BooleanField(default=False, help_text="Whether its event may only go out with a test code."),
        )
    ]
