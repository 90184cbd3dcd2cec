"""What a network that judges later has said of a delivered event, and the index of those to ask about."""

from django.db import migrations, models

CHOICES = [
    ("awaited", "To be confirmed"),
    ("confirmed", "Confirmed"),
    ("refused", "Refused later"),
    ("unknown", "Not confirmed in time"),
]


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0022_object_ids_and_first_moments")]
    operations = [
        migrations.AddField(
            "delivery", "confirmation", models.CharField(blank=True, choices=CHOICES, db_default="", max_length=9)
        ),
        migrations.AddField("delivery", "confirm_after", models.DateTimeField(blank=True, null=True)),
        migrations.AddIndex(
            "delivery",
            models.Index(
                condition=models.Q(("confirm_after", None), _negated=True),
                fields=["config", "confirm_after"],
                name="delivery_to_confirm",
            ),
        ),
    ]
