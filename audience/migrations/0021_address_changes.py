"""An address that waits to be confirmed, and how often an account's sign-in was tried."""

import django.db.models.deletion

from django.conf import settings
from django.db import migrations, models

import audience.database.clock
import audience.models.accounts


class Migration(migrations.Migration):
    dependencies = [
        ("audience", "0020_database_times"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="SignInPace",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account", models.CharField(max_length=64, unique=True)),
                ("attempts", models.PositiveIntegerField()),
                ("last_at", models.DateTimeField()),
                ("free_at", models.DateTimeField()),
            ],
            options={"verbose_name": "pace of sign-ins", "verbose_name_plural": "pace of sign-ins"},
        ),
        migrations.CreateModel(
            name="AddressChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "email",
                    models.EmailField(help_text="Lower case: what the account will sign in with.", max_length=254),
                ),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                ("created_at", models.DateTimeField(default=audience.database.clock.now, editable=False)),
                ("expires_at", models.DateTimeField(default=audience.models.accounts.in_three_days)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="address_change",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
    ]
