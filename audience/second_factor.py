"""Whether somebody signs in with more than a password, and who must."""

from collections.abc import Iterable
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings

from audience.models import Membership, Role

# What stands for itself; recovery codes only stand in for one of these.
TYPES = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)

ASKING = "Admins sign in with a second factor here. Set up an authenticator app or a passkey to go on."


def is_missing(user: Any) -> bool:
    """Whether an admin has yet to set one up; always False while REQUIRE_MFA_FOR_ADMINS is off."""
    return settings.REQUIRE_MFA_FOR_ADMINS and not Authenticator.objects.filter(user=user, type__in=TYPES).exists()


def holders(user_ids: Iterable[int]) -> set[int]:
    """Which of these people have one."""
    found = Authenticator.objects.filter(user__in=list(user_ids), type__in=TYPES)
    return set(found.values_list("user_id", flat=True))


def is_missing_somewhere(user: Any) -> bool:
    """Whether this person administers anything, and is kept out of it until a second factor is set up."""
    administers = user.is_staff or Membership.objects.filter(user=user, role=Role.ADMIN).exists()
    return bool(administers and is_missing(user))
