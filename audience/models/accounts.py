"""Account data that belongs to no game: settings, unconfirmed address changes and the sign-in throttle."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models

from audience.database import clock
from audience.wording import dates

CONFIRMATION_VALIDITY = timedelta(days=3)


def in_three_days() -> Any:
    return clock.now() + CONFIRMATION_VALIDITY


class AddressChange(models.Model):
    """A requested change of an account's email address; at most one per account.

    The account's address changes when the mailed link is opened. `digest` is the SHA-256 of the link's token.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="address_change")
    email = models.EmailField(help_text="In lowercase: the address that the account will sign in with.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField(default=in_three_days)

    def __str__(self) -> str:
        return f"{self.email} for account {self.user_id}"

    @property
    def is_open(self) -> bool:
        """Whether its link still works."""
        return self.expires_at > clock.now()


class AccountSettings(models.Model):
    """What an account chose for all of its pages; without a row, the defaults."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="account_settings")
    time_zone = models.CharField(
        max_length=64, blank=True, help_text="In which pages show times and begin days. Empty: that of each game."
    )

    class Meta:
        verbose_name_plural = "account settings"

    def __str__(self) -> str:
        return f"settings of account {self.user_id}"


class SignInPace(models.Model):
    """Sign-in attempts on one account from unknown browsers, from all IP addresses together.

    `account` is the SHA-256 of the typed email address, whether or not such an account exists. Attempts before
    `free_at` are refused. Times are the database's.
    """

    account = models.CharField(max_length=64, unique=True)
    attempts = models.PositiveIntegerField()
    last_at = models.DateTimeField()
    free_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "pace of sign-ins"

    def __str__(self) -> str:
        return f"{self.attempts} attempts until {dates.moment(self.last_at)}"
