"""What rows from before this version need: their deadlines, their last verdict, and a version per config."""

from datetime import timedelta

from django.db import migrations
from django.db.models import F, OuterRef, Subquery

# As of this migration: networks.base.Network.max_age and retry.WINDOW.
MAX_AGE = {"tiktok": timedelta(days=28), "reddit": timedelta(hours=168)}
SAFE = timedelta(hours=47)


def fill(apps, schema_editor):
    Delivery = apps.get_model("postbacks", "Delivery")
    Attempt = apps.get_model("postbacks", "DeliveryAttempt")
    newest = Attempt.objects.filter(delivery=OuterRef("pk")).exclude(verdict="").order_by("-number")
    for network, age in MAX_AGE.items():
        Delivery.objects.filter(network=network).update(dead_after=F("event_at") + age)
    Delivery.objects.exclude(first_attempt_at=None).update(
        safe_until=F("first_attempt_at") + SAFE, attempts_counted=F("attempts_made")
    )
    Delivery.objects.filter(attempts_made__gt=0, pk__in=Attempt.objects.exclude(verdict="").values("delivery")).update(
        verdict=Subquery(newest.values("verdict")[:1])
    )
    Config, Version = apps.get_model("postbacks", "PostbackConfig"), apps.get_model("postbacks", "ConfigVersion")
    Version.objects.bulk_create(
        Version(
            config=config,
            number=config.version,
            pixel_id=config.pixel_id,
            triggers=config.triggers,
            enabled=config.enabled,
            change="Carried over from before versions were kept",
            set_by=config.created_by,
            set_at=config.updated_at,
        )
        for config in Config.objects.defer("credential")
    )


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0002_hold_flow_replays_and_alerts")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
