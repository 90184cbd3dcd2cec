"""Who an address belongs to, and changing it. An address identifies an account only once it was confirmed.

`User.email` is the one address of an account: an invitation's link was followed there, an administrator gave it with
the account, or a link mailed to it was followed by somebody signed in to the account.
"""

import secrets
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection, transaction

from audience.database import clock
from audience.models.accounts import AddressChange, in_three_days
from audience.models.keys import sha256_hex


class AddressError(Exception):
    """What was asked cannot be; the text is a sentence for the page. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class RequestedChange:
    """A change with the token of its link, which is kept nowhere else; `taken` when another account has the address."""

    change: AddressChange
    token: str
    taken: bool

    def __repr__(self) -> str:
        return f"Asked({self.change.pk})"


def normalize(email: str) -> str:
    return email.strip().lower()


def accounts_of(email: str) -> list[User]:
    """The accounts that sign in with this address, whichever its case; one, unless they were made in the shell.

    PostgreSQL takes some letters for others when it ignores case (ı for i), so that Python compares once more.
    """
    wanted = normalize(email)
    if not wanted:
        return []
    found = User.objects.filter(email__iexact=wanted).order_by("pk")
    return [user for user in found if normalize(user.email) == wanted]


def account_of(email: str) -> User | None:
    return next(iter(accounts_of(email)), None)


def lock_address(email: str) -> None:
    """Make whoever gives this address to an account wait for the end of the transaction in hand."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"address {normalize(email)}"])


@transaction.atomic
def request_change(*, user: User, email: str) -> RequestedChange:
    """Write down the change and make its link; the one asked for before ends. AddressError for the present address."""
    email = normalize(email)
    if normalize(user.email) == email:
        raise AddressError(f"{email} is the address of this account already.")
    token = secrets.token_urlsafe(32)
    given = {"email": email, "digest": sha256_hex(token), "created_at": clock.now(), "expires_at": in_three_days()}
    change, _ = AddressChange.objects.update_or_create(user=user, defaults=given)
    return RequestedChange(change=change, token=token, taken=account_of(email) is not None)


def find_open_change(token: str, user: User) -> AddressChange | None:
    """The open change of this account that the link is for."""
    found = AddressChange.objects.filter(digest=sha256_hex(token), user=user).first()
    return found if found and found.is_open else None


@transaction.atomic
def confirm(*, token: str, user: User) -> str:
    """Give the account its new address, once; the address before. AddressError for a link that is over."""
    change = AddressChange.objects.select_for_update().filter(digest=sha256_hex(token), user=user).first()
    if change is None or not change.is_open:
        raise AddressError("This link no longer works. Ask for a new one.")
    lock_address(change.email)
    if account_of(change.email):
        raise AddressError(f"Another account signs in with {change.email}.")
    account = User.objects.select_for_update().get(pk=user.pk)
    before, account.email = account.email, change.email
    account.save(update_fields=["email"])
    change.delete()
    user.email = account.email
    return before


def cancel(*, user: User) -> None:
    """Forget the change that waits; its link ends."""
    for change in AddressChange.objects.filter(user=user):
        change.delete()
