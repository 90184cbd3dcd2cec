"""Tokens of the management API, and the answers kept for repeated requests."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from audience.database import clock
from audience.models.games import Game, Membership, Role

# Every token begins with this, so that scanners of repositories recognize it.
TOKEN_MARK = "aftk_"
# A request with an Idempotency-Key that is repeated within this time gets the first answer again.
ANSWERS_KEPT = timedelta(hours=24)


class Scope(models.TextChoices):
    """What a token may be used for. Its role, or that of its member, still decides."""

    READ = "read", "Read everything except exports of players"
    POSTBACKS = "postbacks", "Change postbacks, goals, reports and alerts"
    KEYS = "keys", "Create, change, rotate and revoke API keys"
    PRIVACY = "privacy", "Export and erase players, set consent and retention"
    MEMBERS = "members", "Create games, invite and change members"


class TokenState(models.TextChoices):
    """Derived from a token's times. A rotating token has a successor and still works; a replaced one no longer does."""

    LIVE = "live", "Live"
    ROTATING = "rotating", "Rotating"
    REVOKED = "revoked", "Revoked"
    REPLACED = "replaced", "Replaced"
    EXPIRED = "expired", "Expired"


class TokenQuerySet(models.QuerySet["ApiToken"]):
    def live(self) -> "TokenQuerySet":
        """Tokens that work now: neither revoked nor expired."""
        return self.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=clock.now()))

    def created_by_member(self, membership: Membership) -> "TokenQuerySet":
        """The live tokens of the game that the member created there. They do not depend on the membership."""
        return self.live().filter(game=membership.game_id, created_by=membership.user_id)


class ApiToken(models.Model):
    """A token of the management API, either of a `user`, with the user's role in each game, or of a `game`, with a
    `role` of its own. Only its first characters and its SHA-256 are stored.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="api_tokens"
    )
    game = models.ForeignKey(Game, null=True, blank=True, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    role = models.CharField(max_length=10, choices=Role.choices, blank=True, help_text="Of a game's token only.")
    scopes = ArrayField(models.CharField(max_length=12, choices=Scope.choices))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=16, editable=False, help_text="The first characters, to identify the token.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    # The audit log has an entry about its expiry.
    expiry_recorded = models.BooleanField(default=False, db_default=False, editable=False)
    replaced_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces")

    objects = TokenQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user=None, game__isnull=False) & ~Q(role="") | Q(user__isnull=False, game=None, role=""),
                name="token_of_a_user_or_a_game",
            ),
        ]
        indexes = [
            # record_expired: the tokens whose expiry is not in the audit log yet.
            models.Index(
                "expires_at",
                condition=Q(expiry_recorded=False, revoked_at=None, expires_at__isnull=False),
                name="token_expiry_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def get_additional_data(self) -> dict[str, int]:
        """Stored with each audit log entry, so that entries of a game's token can be filtered by game."""
        return {"game": self.game_id} if self.game_id else {}

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > clock.now())

    @property
    def state(self) -> TokenState:
        if self.revoked_at is not None:
            return TokenState.REVOKED
        if self.is_live:
            return TokenState.ROTATING if self.replaced_by_id else TokenState.LIVE
        return TokenState.REPLACED if self.replaced_by_id else TokenState.EXPIRED


class IdempotentRequest(models.Model):
    """The answer to a POST with an Idempotency-Key, kept for ANSWERS_KEPT.

    `fingerprint` is the SHA-256 of method, path and body. `answer` is encrypted, since it may have a secret that is
    shown once: {"status": 201, "headers": {...}, "data": ...}.
    """

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    answer: Any = models.TextField(blank=True)
    created_at = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(F("token"), F("key"), name="one_answer_per_key")]

    def __str__(self) -> str:
        return f"{self.key} of token {self.token_id}"
