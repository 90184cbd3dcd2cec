"""Where allauth and axes ask the house: who may sign up, who is calling, how a second factor's secret is kept."""

from typing import Any

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from audience.intake.caller import caller_ip
from postbacks.fields import seal, unseal

logger = structlog.get_logger(__name__)

LISTED = "listed"


class InvitedOnlyAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Nobody signs up by themselves: an admin invites, or makes the account."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Failed passwords are counted by axes; allauth's count would lock first, and be lost with the process."""

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        super().login(request, user)
        # allauth lists this session for its owner: SessionSeenMiddleware keeps the row fresh.
        request.session[LISTED] = True

    def get_client_ip(self, request: HttpRequest) -> str:
        address = caller_ip(request)
        if not address:
            raise PermissionDenied("The address of the caller is not known.")
        return address

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is down must not fail a page; what the page says stays true of an unknown address too."""
        try:
            super().send_mail(template_prefix, email, context)
        except OSError as error:  # smtplib's errors are OSErrors; their text repeats the address
            logger.error("account_mail_not_sent", template=template_prefix, error=type(error).__name__)


class SealedSecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth ships no types
    """Secrets of authenticator apps and recovery codes lie encrypted under CREDENTIAL_KEYS."""

    def encrypt(self, text: str) -> str:
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return str(unseal(encrypted_text))

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return f"Passkey {count + 1}" if count else "Passkey"


def typed_login(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """Whose sign-in failed, in lower case: what was typed, else what the code that asked gave.

    allauth authenticates with `email`, which axes does not look for by itself: all accounts would share one counter.
    """
    given = credentials or {}
    found = request.POST.get("login") or given.get("email") or given.get("username") or given.get("login") or ""
    return str(found).strip().lower()
