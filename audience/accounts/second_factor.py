"""Second factors of an account: who has one, who must have one, and using a code only once."""

from collections.abc import Iterable
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction

from audience.database import clock
from audience.models import Membership, Role
from audience.models.keys import sha256_hex

# Recovery codes are no second factor by themselves; they only replace one of these.
FACTOR_TYPES = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)

SETUP_REQUIRED = (
    "This installation requires two-factor authentication for admins. Set up an authenticator app or a "
    "passkey to continue."
)

# How long a code counts as used; longer than an authenticator app's code is valid.
USED_CODE_SECONDS = 300


@transaction.atomic
def use_code(authenticator: Authenticator, code: str) -> bool:
    """Mark a correct code of an authenticator app as used; return False if it was used before.

    Always True for other kinds of factor, which prevent reuse themselves. The code is stored in the row, since allauth
    stores used codes in the cache only, which may be emptied or unavailable.
    """
    if authenticator.type != Authenticator.Type.TOTP:
        return True
    row = Authenticator.objects.select_for_update().get(pk=authenticator.pk)
    digest, now = sha256_hex("".join(code.split())), clock.now().timestamp()
    last = row.data.get("spent", {})
    if last.get("code") == digest and now - last.get("at", 0) < USED_CODE_SECONDS:
        return False
    row.data = {**row.data, "spent": {"code": digest, "at": now}}
    row.save(update_fields=["data"])
    return True


def is_missing(user: Any) -> bool:
    """Whether REQUIRE_MFA_FOR_ADMINS is on and the user has no second factor."""
    if not settings.REQUIRE_MFA_FOR_ADMINS:
        return False
    return not Authenticator.objects.filter(user=user, type__in=FACTOR_TYPES).exists()


def users_with_second_factor(user_ids: Iterable[int]) -> set[int]:
    """Return the ids, of `user_ids`, of users who have a second factor."""
    factors = Authenticator.objects.filter(user__in=list(user_ids), type__in=FACTOR_TYPES)
    return set(factors.values_list("user_id", flat=True))


def is_missing_for_admin(user: Any) -> bool:
    """Whether the user administers a game or the site and lacks the required second factor."""
    administers = user.is_staff or Membership.objects.filter(user=user, role=Role.ADMIN).exists()
    return bool(administers and is_missing(user))
