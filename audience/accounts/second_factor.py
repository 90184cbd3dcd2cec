"""Whether somebody signs in with more than a password, and who must."""

from collections.abc import Iterable
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction

from audience.database import clock
from audience.models import Membership, Role
from audience.models.keys import sha256_hex

# What stands for itself; recovery codes only stand in for one of these.
FACTOR_TYPES = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)

SETUP_REQUIRED = "Admins sign in with a second factor here. Set up an authenticator app or a passkey to go on."

# Longer than a code of an authenticator app is right for.
CODE_SECONDS = 300


@transaction.atomic
def use_code(authenticator: Authenticator, code: str) -> bool:
    """Take a right code of an authenticator app, once; False when it was taken before. Other factors count their own.

    The cache knows, too, but it may have been emptied or away: the row is what every process reads.
    """
    if authenticator.type != Authenticator.Type.TOTP:
        return True
    row = Authenticator.objects.select_for_update().get(pk=authenticator.pk)
    spent, now = sha256_hex("".join(code.split())), clock.now().timestamp()
    last = row.data.get("spent", {})
    if last.get("code") == spent and now - last.get("at", 0) < CODE_SECONDS:
        return False
    row.data = {**row.data, "spent": {"code": spent, "at": now}}
    row.save(update_fields=["data"])
    return True


def is_missing(user: Any) -> bool:
    """Whether an admin has yet to set one up; always False while REQUIRE_MFA_FOR_ADMINS is off."""
    if not settings.REQUIRE_MFA_FOR_ADMINS:
        return False
    return not Authenticator.objects.filter(user=user, type__in=FACTOR_TYPES).exists()


def users_with_second_factor(user_ids: Iterable[int]) -> set[int]:
    """Which of these people have one."""
    found = Authenticator.objects.filter(user__in=list(user_ids), type__in=FACTOR_TYPES)
    return set(found.values_list("user_id", flat=True))


def is_missing_for_admin(user: Any) -> bool:
    """Whether this person administers anything, and is kept out of it until a second factor is set up."""
    administers = user.is_staff or Membership.objects.filter(user=user, role=Role.ADMIN).exists()
    return bool(administers and is_missing(user))
