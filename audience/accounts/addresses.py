"""Looking accounts up by email address, and changing an account's address.

`User.email` is the only address of an account and is always confirmed: an invitation mailed there was accepted, an
administrator created the account with it, or a link mailed there was followed by somebody signed in to the account.
"""

import secrets
from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.urls import reverse

from audience.database import clock
from audience.models.accounts import AddressChange, in_three_days
from audience.models.keys import sha256_hex


class AddressError(Exception):
    """The request is refused and nothing was changed. The message is shown on the page."""


@dataclass(frozen=True, slots=True)
class RequestedChange:
    """A stored change and the token of its link, which is not stored. `taken`: another account has the address."""

    change: AddressChange
    token: str = field(repr=False)
    taken: bool

    @property
    def link(self) -> str:
        """The URL that confirms the change, under PUBLIC_URL and not under the request's Host header."""
        return str(settings.PUBLIC_URL) + reverse("address-confirm", kwargs={"token": self.token})


def normalize(email: str) -> str:
    return email.strip().lower()


def find_accounts(email: str) -> list[User]:
    """Return the accounts with this address, case-insensitively; at most one unless more were created in the shell.

    Compared again in Python, since PostgreSQL's case folding equates some letters (ı and i).
    """
    email = normalize(email)
    if not email:
        return []
    candidates = User.objects.filter(email__iexact=email).order_by("pk")
    return [user for user in candidates if normalize(user.email) == email]


def find_account(email: str) -> User | None:
    return next(iter(find_accounts(email)), None)


def lock_address(email: str) -> None:
    """Lock an address until the end of the transaction, so that two accounts cannot get it at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"address {normalize(email)}"])


@transaction.atomic
def request_change(*, user: User, email: str) -> RequestedChange:
    """Store a change with a new token, replacing an earlier one. Raises AddressError for the present address."""
    email = normalize(email)
    if normalize(user.email) == email:
        raise AddressError(f"{email} is already the email address of this account.")
    token = secrets.token_urlsafe(32)
    values = {"email": email, "digest": sha256_hex(token), "created_at": clock.now(), "expires_at": in_three_days()}
    change, _ = AddressChange.objects.update_or_create(user=user, defaults=values)
    return RequestedChange(change=change, token=token, taken=find_account(email) is not None)


def find_open_change(token: str, user: User) -> AddressChange | None:
    """Return the account's open change with this token, or None."""
    change = AddressChange.objects.filter(digest=sha256_hex(token), user=user).first()
    return change if change and change.is_open else None


@transaction.atomic
def confirm(*, token: str, user: User) -> str:
    """Change the account's address and return the previous one. Raises AddressError if the link no longer works."""
    change = AddressChange.objects.select_for_update().filter(digest=sha256_hex(token), user=user).first()
    if change is None or not change.is_open:
        raise AddressError("This link no longer works. Request a new one.")
    lock_address(change.email)
    if find_account(change.email):
        raise AddressError(f"Another account signs in with {change.email}.")
    account = User.objects.select_for_update().get(pk=user.pk)
    previous, account.email = account.email, change.email
    account.save(update_fields=["email"])
    change.delete()
    user.email = account.email
    return previous


def cancel(*, user: User) -> None:
    """Delete the open change; its link stops working."""
    AddressChange.objects.filter(user=user).delete()
