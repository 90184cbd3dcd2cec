from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the state "logged" of a notice; the column is unchanged."""

    dependencies = [("postbacks", "0032_game_goals")]

    operations = [
        migrations.AlterField(
            model_name="notice",
            name="state",
            field=models.CharField(
                choices=[("waiting", "Waiting"), ("sent", "Sent"), ("logged", "Not mailed"), ("failed", "Failed")],
                default="waiting",
                max_length=8,
            ),
        ),
    ]
