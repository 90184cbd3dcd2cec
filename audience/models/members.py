"""Invitations to a game. Accepting an invitation creates a Membership (keys.py)."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from audience.database import clock
from audience.models.games import AuditedInGame, Game, Role

INVITATION_VALIDITY = timedelta(days=7)


def in_seven_days() -> Any:
    return clock.now() + INVITATION_VALIDITY


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def pending(self) -> "InvitationQuerySet":
        """Neither accepted nor revoked. Expired invitations are included: they can be sent again."""
        return self.filter(accepted_at=None, revoked_at=None)


class Invitation(AuditedInGame, models.Model):
    """An invitation for one email address. `digest` is the SHA-256 of the mailed link's token."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(help_text="In lowercase: the address that the link is for.")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField(default=in_seven_days)
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["game", "email"],
                condition=Q(accepted_at=None, revoked_at=None),
                name="one_pending_invitation_per_email",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email} into {self.game}: {self.role}"

    @property
    def is_open(self) -> bool:
        """Whether its link still works."""
        return self.accepted_at is None and self.revoked_at is None and self.expires_at > clock.now()
