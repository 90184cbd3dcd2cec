import django.db.models.deletion
import audience.database.clock
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audience", "0023_conversions_of_the_far_future")]
    operations = [
        migrations.CreateModel(
            name="ReceiptKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sealed", models.TextField(editable=False)),
                ("created_at", models.DateTimeField(default=audience.database.clock.now, editable=False)),
                (
                    "game",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="audience.game"
                    ),
                ),
            ],
        ),
    ]
