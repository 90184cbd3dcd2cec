"""No page looks up deliveries of unknown outcome without their conversion, which has an index of its own."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0036_changed_deliveries")]
    operations = [migrations.RemoveIndex(model_name="delivery", name="delivery_unknown")]
