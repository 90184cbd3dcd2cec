import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audience", "0008_name_the_game_of_audit_entries")]

    operations = [
        migrations.AddField(
            model_name="game",
            name="kept_days",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="Events older than this, by their own day, are deleted, and so are the calls made for "
                "deliveries that ended longer ago. Empty: kept for ever.",
                null=True,
                validators=[django.core.validators.MinValueValidator(31)],
                verbose_name="days that events are kept",
            ),
        ),
        migrations.AddConstraint(
            model_name="game",
            constraint=models.CheckConstraint(
                condition=models.Q(("kept_days", None), ("kept_days__gte", 31), _connector="OR"), name="kept_a_month"
            ),
        ),
    ]
