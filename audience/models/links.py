"""Tracking links, and the number of their clicks."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import models
from django.db.models import Max, OuterRef, Subquery, Sum

from audience.database import clock
from audience.models.games import AuditedInGame, Game

MAX_SLUG = 60
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
MAX_DESTINATION = 2000
MAX_TAG = 200
# Parameters of the destination that name the campaign.
UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
# Hosts of stores, of which no page can read a click id. A studio's pages on itch.io are subdomains.
STORES = {
    "store.steampowered.com": "Steam",
    "s.team": "Steam",
    "store.epicgames.com": "Epic Games Store",
    "www.epicgames.com": "Epic Games Store",
    "itch.io": "itch.io",
}
WEBSITE = "Website"


class LinkConsent(models.TextChoices):
    """The consent level of a link's clicks; '' for the setting of the game."""

    GAME = "", "The setting of the game"
    FULL = "full", "Full"
    ANONYMOUS = "anonymous", "Anonymous"
    NONE = "none", "None"


class LinkQuerySet(models.QuerySet["TrackingLink"]):
    def live(self) -> "LinkQuerySet":
        """Links that redirect: those that are not archived."""
        return self.filter(archived_at=None)

    def with_clicks(self) -> "LinkQuerySet":
        """Add `clicks`, the number of all clicks, and `last_click_at`; None for a link without one."""
        # As subqueries, which read the counts of the listed links only.
        counts = LinkCount.objects.filter(game=OuterRef("game"), link=OuterRef("pk")).order_by().values("link")
        return self.annotate(  # type: ignore[no-redef]  # the model declares them, for its other readers
            clicks=Subquery(counts.annotate(total=Sum("clicks")).values("total")),
            last_click_at=Subquery(counts.annotate(last=Max("last_at")).values("last")),
        )


class TrackingLink(AuditedInGame, models.Model):
    """A link /go/<slug> that records a click and redirects to `destination`.

    `destination` is normalized ASCII (audience/intake/links/destinations.py). The five UTM fields replace those of the
    destination and of the request; '' keeps them. A slug is unique in the installation, and is not used again.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="tracking_links")
    name = models.CharField(max_length=80)
    slug = models.CharField(max_length=MAX_SLUG, unique=True)
    destination = models.CharField(max_length=MAX_DESTINATION)
    utm_source = models.CharField(max_length=MAX_TAG, blank=True)
    utm_medium = models.CharField(max_length=MAX_TAG, blank=True)
    utm_campaign = models.CharField(max_length=MAX_TAG, blank=True)
    utm_term = models.CharField(max_length=MAX_TAG, blank=True)
    utm_content = models.CharField(max_length=MAX_TAG, blank=True)
    consent = models.CharField(max_length=10, choices=LinkConsent.choices, default="", blank=True)
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Every change creates a version.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(default=clock.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = LinkQuerySet.as_manager()

    # Set by LinkQuerySet.with_clicks.
    clicks: int | None
    last_click_at: Any

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> str:
        return f"/go/{self.slug}"

    @property
    def url(self) -> str:
        """The address to publish."""
        return f"{settings.PUBLIC_URL}{self.path}"

    @property
    def tags(self) -> dict[str, str]:
        """The UTM parameters of the link, without empty ones."""
        return {name: value for name in UTM if (value := getattr(self, name))}

    @property
    def host(self) -> str:
        """The host of the destination."""
        return urlsplit(self.destination).hostname or ""

    @property
    def store(self) -> str:
        """The name of the store that the destination belongs to; '' for a website."""
        return STORES.get(self.host) or ("itch.io" if self.host.endswith(".itch.io") else "")

    @property
    def kind(self) -> str:
        return self.store or WEBSITE


class LinkCount(models.Model):
    """The clicks of a link on a day in UTC, and the time of the last one. Without personal data, and kept."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    link = models.ForeignKey(TrackingLink, on_delete=models.CASCADE, related_name="counts")
    day = models.DateField()
    clicks = models.BigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "link", "day"], name="one_count_per_link_and_day")]

    def __str__(self) -> str:
        return f"{self.clicks} clicks on {self.day}"
