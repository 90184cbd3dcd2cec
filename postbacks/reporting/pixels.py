"""The pixel beside the state of a delivery, where a network alone would be ambiguous."""

from django.db.models import Exists, OuterRef, QuerySet

from postbacks.models import Delivery, PostbackConfig


def with_pixels(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Return `rows` with everything that `pixel_of` reads."""
    others = PostbackConfig.objects.filter(game=OuterRef("game"), network=OuterRef("network"))
    others = others.exclude(pk=OuterRef("config"))
    rows = rows.select_related("config").defer("config__credential", "config__previous_credential")
    return rows.annotate(has_siblings=Exists(others))


def pixel_of(delivery: Delivery) -> str:
    """Return the pixel of a delivery of `with_pixels` if the game has, or had, several postbacks on its network."""
    return delivery.config.pixel_id if getattr(delivery, "has_siblings", False) else ""
