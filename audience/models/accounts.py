"""What concerns an account and no game: the address that waits to be confirmed, how often its sign-in was tried."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models

from audience.database import clock

CONFIRMATION_VALIDITY = timedelta(days=3)


def in_three_days() -> Any:
    return clock.now() + CONFIRMATION_VALIDITY


class AddressChange(models.Model):
    """An address that an account shall sign in with once the link mailed there was followed; one per account.

    Until then it identifies nobody. Of the link's token only the SHA-256 is kept.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="address_change")
    email = models.EmailField(help_text="Lower case: what the account will sign in with.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField(default=in_three_days)

    def __str__(self) -> str:
        return f"{self.email} for account {self.user_id}"

    @property
    def is_open(self) -> bool:
        """Whether its link still works."""
        return self.expires_at > clock.now()


class SignInPace(models.Model):
    """How often somebody tried to sign in to an account without a known browser, from all addresses together.

    `account` is the SHA-256 of the address that was typed, whether or not there is such an account. No attempt is
    looked at before `free_at`. Times are the database's.
    """

    account = models.CharField(max_length=64, unique=True)
    attempts = models.PositiveIntegerField()
    last_at = models.DateTimeField()
    free_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "pace of sign-ins"

    def __str__(self) -> str:
        return f"{self.attempts} attempts until {self.last_at:%Y-%m-%d %H:%M}"
