"""Server keys, what a key is restricted to, and by which key and origin an event and its conversion came.

The new text columns keep a default in the database: processes of the version before go on writing meanwhile.
"""

import django.contrib.postgres.fields
from django.db import migrations, models

LOCK = "SET LOCAL lock_timeout = '5s'"
ORIGIN = "ALTER TABLE audience_event ADD COLUMN origin varchar(300) NOT NULL DEFAULT ''"
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
KINDS = [("publishable", "Publishable"), ("server", "Server"), ("secret", "Secret")]


def texts(length):
    return django.contrib.postgres.fields.ArrayField(models.CharField(max_length=length), blank=True, default=list)


class Migration(migrations.Migration):
    dependencies = [("audience", "0025_key_receipts")]
    operations = [
        migrations.RunSQL(LOCK, LOCK),
        migrations.AlterField(
            "apikey", "kind", models.CharField(choices=KINDS, default="publishable", max_length=12)
        ),
        migrations.AlterField(
            "apikey",
            "expires_at",
            models.DateTimeField(
                blank=True,
                help_text="When it stops working: set by an admin, or by a rotation to end its overlap.",
                null=True,
            ),
        ),
        migrations.AddField("apikey", "remind_at", models.DateTimeField(blank=True, editable=False, null=True)),
        migrations.AddField("apikey", "allowed_events", texts(256)),
        migrations.AddField("apikey", "allowed_origins", texts(300)),
        migrations.AddField("apikey", "allowed_addresses", texts(50)),
        migrations.AddField("rejection", "origin", models.CharField(blank=True, db_default="", max_length=300)),
        migrations.AddField("rejection", "request_ip", models.CharField(blank=True, db_default="", max_length=45)),
        migrations.AddField("conversion", "key_id", models.BigIntegerField(blank=True, null=True)),
        migrations.AddField("conversion", "from_server", models.BooleanField(blank=True, null=True)),
        migrations.AddField(
            "conversion",
            "origin",
            models.CharField(blank=True, db_default="", help_text="As of its Event.", max_length=300),
        ),
        migrations.AlterField(
            "conversion", "reason", models.CharField(blank=True, choices=REASONS, max_length=16)
        ),
        migrations.RunSQL(ORIGIN, "ALTER TABLE audience_event DROP COLUMN origin"),
    ]
