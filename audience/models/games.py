"""Games and their members."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, JSONField, Q, Value

from audience.database import clock
from audience.models.join_kinds import JoinKind, default_kinds
from audience.wording.time_zones import find_zone, zone_or_utc

# Duplicates are detected by the stored event, and senders repeat events up to 30 days old. The longest period shown in
# the Hub is 30 days too.
MIN_RETENTION_DAYS, MAX_RETENTION_DAYS = 31, 3650
MAX_SLUG_LENGTH = 60
MAX_WINDOW_DAYS = 365
MAX_REWARD_LENGTH = 500
DEFAULT_MATCH_HOURS, MAX_MATCH_HOURS = 6, 24
MAX_RETURN_ADDRESS_LENGTH = 300


def validate_windows(value: Any) -> None:
    """Raise ValidationError unless `value` is {network: days}, with 1 to MAX_WINDOW_DAYS days."""
    days = list(value.values()) if isinstance(value, dict) else [0]
    if not all(type(number) is int and 1 <= number <= MAX_WINDOW_DAYS for number in days):
        raise ValidationError(f'Write {{"tiktok": 7}}: for each ad network 1 to {MAX_WINDOW_DAYS} days.')


def validate_time_zone(value: str) -> None:
    """Raise ValidationError unless forms offer the time zone."""
    if find_zone(value) is None:
        raise ValidationError("Use the name of a time zone, such as Europe/Berlin.")


class GameQuerySet(models.QuerySet["Game"]):
    def visible_to(self, user: Any) -> "GameQuerySet":
        """The games of which the user is a member; all games for a superuser."""
        return self if user.is_superuser else self.filter(memberships__user=user)

    def with_role_of(self, user: Any) -> "GameQuerySet":
        """The games that are visible to the user, each with `role`, the user's in it."""
        role = Value(Role.ADMIN.value) if user.is_superuser else F("memberships__role")
        return self.visible_to(user).annotate(role=role)


class Game(models.Model):
    """A game. Each event, person, key and postback belongs to one game."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=MAX_SLUG_LENGTH, unique=True, help_text="Part of its URL in the Hub: /g/<slug>/")
    attribution_window_days = models.PositiveSmallIntegerField(
        default=28, help_text="A conversion is attributed to the last paid click at most this many days before it."
    )
    network_windows = models.JSONField(
        default=dict,
        db_default=Value({}, JSONField()),
        blank=True,
        validators=[validate_windows],
        help_text='Attribution windows in days of single ad networks, by the network of the click: {"tiktok": 7}.',
    )
    strict_consent = models.BooleanField(
        default=False, help_text="Treat players without a recorded decision as if they had declined."
    )
    untagged_fbclid_is_paid = models.BooleanField(
        default=True, db_default=True, help_text="Meta's fbclid without UTM tags counts as a paid click."
    )
    limited_data_use = models.BooleanField(
        default=False, db_default=False, help_text="Request limited data use from ad networks with every conversion."
    )
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        db_default="UTC",
        validators=[validate_time_zone],
        help_text="Time zone of reports, such as Europe/Berlin.",
    )
    reporting_currency = models.CharField(
        max_length=3, default="USD", db_default="USD", help_text="Currency of the totals in reports."
    )
    joins = ArrayField(
        models.CharField(max_length=8, choices=JoinKind.choices),
        default=default_kinds,
        db_default=Value(default_kinds(), ArrayField(models.CharField(max_length=8))),
        blank=True,
        help_text="How visits on the web are joined to players of the game: steam, code, email, discord, referrer, "
        "modeled.",
    )
    reward_text = models.CharField(
        max_length=MAX_REWARD_LENGTH, blank=True, default="", db_default="", help_text="Shown on the claim page."
    )
    return_addresses = ArrayField(
        models.CharField(max_length=MAX_RETURN_ADDRESS_LENGTH),
        default=list,
        db_default=Value([], ArrayField(models.CharField(max_length=MAX_RETURN_ADDRESS_LENGTH))),
        blank=True,
        help_text="Pages of the studio to which players may return after a sign-in with Steam.",
    )
    match_hours = models.PositiveSmallIntegerField(
        "hours of modeled matches",
        default=DEFAULT_MATCH_HOURS,
        db_default=DEFAULT_MATCH_HOURS,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_MATCH_HOURS)],
        help_text="A first launch is compared with ad clicks at most this many hours before it.",
    )
    kept_days = models.PositiveSmallIntegerField(
        "days that events are kept",
        null=True,
        blank=True,
        validators=[MinValueValidator(MIN_RETENTION_DAYS)],
        help_text="Events older than this are deleted, and so are the attempts of deliveries that "
        "ended longer ago. Empty: kept forever.",
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = GameQuerySet.as_manager()

    named_click_parameters: tuple[str, ...]  # set by audience/digest/named_parameters.py
    suppressed_ids: Any = None  # set by audience/intake/requests/suppressed_ids.py

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kept_days=None) | Q(kept_days__gte=MIN_RETENTION_DAYS), name="kept_a_month"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of reports; UTC if this computer does not know it any more."""
        return zone_or_utc(self.time_zone)

    def window_of(self, network: str) -> timedelta:
        """Return the attribution window of clicks of an ad network."""
        return timedelta(days=self.network_windows.get(network, self.attribution_window_days))

    @property
    def window_text(self) -> str:
        """The attribution window: "28 days", or "7 to 28 days (depending on the ad network)"."""
        days = {self.attribution_window_days, *self.network_windows.values()}
        if len(days) > 1:
            return f"{min(days)} to {max(days)} days (depending on the ad network)"
        return f"{max(days)} {'day' if days == {1} else 'days'}"

    def get_additional_data(self) -> dict[str, int]:
        """Stored with each audit log entry, so that entries can be filtered by game."""
        return {"game": self.pk}


class AuditedInGame:
    """A model of a game whose changes are in the audit log."""

    game_id: int

    def get_additional_data(self) -> dict[str, int]:
        """Stored with each audit log entry, so that entries can be filtered by game."""
        return {"game": self.game_id}


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    MARKETER = "marketer", "Marketer"
    ADMIN = "admin", "Admin"


class Membership(AuditedInGame, models.Model):
    """A user's role in a game. Viewers read; marketers also run postbacks; admins also manage keys and members."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "user"], name="one_membership_per_game")]

    def __str__(self) -> str:
        return f"{self.user} in {self.game}: {self.role}"
