"""API keys."""

import hashlib
from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from audience.database import clock
from audience.models.games import AuditedInGame, Game


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
        help_text="Response format on shared routes.",
    )
    rate_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests per second. Empty for the default of 1000."
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=32, editable=False, help_text="The first characters, to identify the key.")
    value = models.CharField(max_length=80, blank=True, editable=False, help_text="Publishable keys only.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="When it stops working: set by an admin, or the end of an overlap."
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
