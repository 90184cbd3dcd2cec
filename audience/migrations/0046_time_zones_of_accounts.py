"""Time zones of accounts, and what their pages read: counts by the quarter hour, and purchases by their order.

Old minutes of requests and conversions are summed to quarter hours instead of hours, so that a day of any time zone is a
sum of them (audience/storage/rollups.py). Hours that are summed already stay hours.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

FINE = """
DROP INDEX audience_{name}minute_fine;
CREATE INDEX audience_{name}minute_fine ON audience_{name}minute (starts_at)
    WHERE date_bin('{size}', starts_at, 'epoch'::timestamptz) <> starts_at;
"""


def fine(size: str) -> str:
    return "".join(FINE.format(name=name, size=size) for name in ("request", "conversion"))


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("audience", "0045_changed_quarters"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccountSettings",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "time_zone",
                    models.CharField(
                        blank=True,
                        help_text="In which pages show times and begin days. Empty: that of each game.",
                        max_length=64,
                    ),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="account_settings",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name_plural": "account settings"},
        ),
        migrations.AddIndex(
            model_name="conversion",
            index=models.Index(
                condition=models.Q(("order_id", ""), _negated=True),
                fields=["game", "order_id"],
                name="conversion_by_order",
            ),
        ),
        migrations.RunSQL(fine("15 minutes"), fine("1 hour")),
    ]
