"""Pruning of anonymous ids that were seen once examines each identity once."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audience", "0035_fill_spellings")]
    operations = [
        migrations.CreateModel(
            name="PrunePosition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("step", models.CharField(max_length=64, unique=True)),
                ("last_id", models.BigIntegerField(help_text="The last row that was examined.")),
            ],
        ),
    ]
