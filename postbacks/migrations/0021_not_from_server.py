"""A new reason, and the reminder of a key's end as a message."""

import django.db.models.deletion
from django.db import migrations, models

REASONS = [
    ("no_click", "No ad click is known for this player"),
    ("other_network", "The ad click came from a network without a postback here"),
    ("outside_window", "The ad click is older than the attribution window"),
    ("consent", "The player did not consent"),
    ("no_match_key", "Nothing the network could match the player by"),
    ("config_disabled", "The postback was switched off for this event"),
    ("config_deleted", "The postback was deleted"),
    ("test_traffic", "Test traffic is never sent"),
    ("filtered", "The event does not meet the goal's condition"),
    ("not_from_server", "The goal counts events from a server key only, and this came with another"),
    ("repeat_launch", "Only a player's first launch counts"),
    ("repeat", "The goal counts once per player, and this was not the first"),
    ("too_old", "Too old for the network to accept"),
    ("erased", "The player's data was erased"),
]
NOTICES = [
    ("opened", "Alert"),
    ("recovered", "Recovered"),
    ("digest", "Daily digest"),
    ("test", "Test"),
    ("key_ends", "Key ends"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("postbacks", "0020_forget_answers_of_the_erased"),
        ("audience", "0026_restricted_and_server_keys"),
    ]
    operations = [
        migrations.AlterField(
            "delivery", "reason", models.CharField(blank=True, choices=REASONS, max_length=16)
        ),
        migrations.AlterField("notice", "kind", models.CharField(choices=NOTICES, max_length=10)),
        migrations.AddField(
            "notice",
            "key",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="audience.apikey",
            ),
        ),
    ]
