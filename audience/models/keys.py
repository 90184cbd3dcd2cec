"""Games, their members and their API keys."""

import hashlib
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from audience.database import clock

# Duplicates are detected by the stored event, and senders repeat events up to 30 days old. The longest period shown in
# the Hub is 30 days too.
MIN_RETENTION_DAYS = 31
MAX_SLUG_LENGTH = 60


class GameQuerySet(models.QuerySet["Game"]):
    def visible_to(self, user: Any) -> "GameQuerySet":
        """The games of which the user is a member; all games for a superuser."""
        return self if user.is_superuser else self.filter(memberships__user=user)


class Game(models.Model):
    """A game. Each event, person, key and postback belongs to one game."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=MAX_SLUG_LENGTH, unique=True, help_text="Its address in the Hub: /g/<slug>/")
    attribution_window_days = models.PositiveSmallIntegerField(
        default=28, help_text="A conversion is attributed to the last paid click at most this many days before it."
    )
    strict_consent = models.BooleanField(
        default=False, help_text="Treat a player with no recorded decision as if they had declined."
    )
    untagged_fbclid_is_paid = models.BooleanField(
        default=True, db_default=True, help_text="Meta's fbclid without UTM tags counts as a paid click."
    )
    limited_data_use = models.BooleanField(
        default=False, db_default=False, help_text="Ask ad networks for limited data use with every conversion."
    )
    kept_days = models.PositiveSmallIntegerField(
        "days that events are kept",
        null=True,
        blank=True,
        validators=[MinValueValidator(MIN_RETENTION_DAYS)],
        help_text="Events older than this, by their own day, are deleted, and so are the calls made for deliveries "
        "that ended longer ago. Empty: kept for ever.",
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = GameQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kept_days=None) | Q(kept_days__gte=MIN_RETENTION_DAYS), name="kept_a_month"
            ),
        ]

    def __str__(self) -> str:
        return self.name

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


class Dialect(models.TextChoices):
    """The wire format of a key: on routes that several dialects share, the key decides the format of the answer."""

    IMMUTABLE = "immutable", "Immutable Audience"
    RUDDERSTACK = "rudderstack", "RudderStack / Segment"
    METAROUTER = "metarouter", "MetaRouter"
    PARCELVOY = "parcelvoy", "Parcelvoy"


class KeyKind(models.TextChoices):
    """A publishable key is public and sends events. A server key sends events from a server. A secret key erases."""

    PUBLISHABLE = "publishable", "Publishable"
    SERVER = "server", "Server"
    SECRET = "secret", "Secret"


# Keys of the studio's servers. Unlike a publishable key they are in no game, from which anyone could copy them.
SERVER_KINDS = (KeyKind.SERVER, KeyKind.SECRET)
# A rotated key that ends within this time after the creation of its successor was rotated without an overlap.
MAX_IMMEDIATE_OVERLAP = timedelta(seconds=10)
# A server key begins with "sk_imapik-" or "sk_imapik-test-" and this mark.
SERVER_KEY_MARK = "server-"
# Kinds that may send events in every dialect.
SENDER_KINDS = (KeyKind.PUBLISHABLE, KeyKind.SERVER)


class Environment(models.TextChoices):
    PRODUCTION = "production", "Production"
    SANDBOX = "sandbox", "Sandbox"


def sha256_hex(value: str) -> str:
    """Return the SHA-256 of a key or token, in hex: the form in which it is stored and looked up."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


class KeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self) -> "KeyQuerySet":
        """Keys that work now: neither revoked nor expired."""
        return self.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=clock.now()))


class ApiKey(AuditedInGame, models.Model):
    """An API key. The value of a publishable key is stored, and only the prefix and the SHA-256 of other keys.

    The three `allowed_` lists restrict its use (audience/intake/requests/restrictions.py); an empty list allows all.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=12, choices=KeyKind.choices, default=KeyKind.PUBLISHABLE)
    environment = models.CharField(max_length=10, choices=Environment.choices, default=Environment.PRODUCTION)
    dialect = models.CharField(
        max_length=12,
        choices=Dialect.choices,
        default=Dialect.IMMUTABLE,
        help_text="Whose words shared routes answer in.",
    )
    rate_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests a second; empty for the default of 1000."
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=32, editable=False, help_text="The first characters, to tell keys apart.")
    value = models.CharField(max_length=80, blank=True, editable=False, help_text="Publishable keys only.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="When it stops working: set by an admin, or by a rotation to end its overlap."
    )
    # When the admins are reminded of `expires_at`; None for no reminder.
    remind_at = models.DateTimeField(null=True, blank=True, editable=False)
    allowed_events = ArrayField(models.CharField(max_length=256), default=list, blank=True)
    allowed_origins = ArrayField(models.CharField(max_length=300), default=list, blank=True)
    allowed_addresses = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    replaced_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces")

    objects = KeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > clock.now())

    @property
    def is_server(self) -> bool:
        """Whether only the studio's servers have it (see SERVER_KINDS)."""
        return self.kind in SERVER_KINDS

    @property
    def is_restricted(self) -> bool:
        return bool(self.allowed_events or self.allowed_origins or self.allowed_addresses)

    @property
    def is_rotating(self) -> bool:
        """Whether it has a successor and still works during the overlap."""
        return self.is_live and self.replaced_by_id is not None

    @property
    def has_expired(self) -> bool:
        """Whether it has passed `expires_at`, which its clients may not have noticed.

        False for a key that was revoked or rotated without an overlap: it may have been stolen.
        """
        if self.revoked_at or self.expires_at is None or self.expires_at > clock.now():
            return False
        return self.replaced_by is None or self.expires_at - self.replaced_by.created_at > MAX_IMMEDIATE_OVERLAP

    @property
    def is_sandbox(self) -> bool:
        return self.environment == Environment.SANDBOX
