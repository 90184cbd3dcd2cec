"""The adapters and callables that allauth and axes use: authentication, client address, mail, second factors."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from auditlog.context import disable_auditlog
from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from audience.accounts import addresses, sign_in_pace
from audience.database.encryption import decrypt, encrypt
from audience.intake.requests.caller import caller_ip

logger = structlog.get_logger(__name__)

SESSION_IS_LISTED = "listed"
PASSWORD_LINK = "account/email/password_reset_key"
# Sends password links in the background. Mails not yet sent are lost when the process dies.
_mail_threads = ThreadPoolExecutor(2, thread_name_prefix="account-mail")


class AddressBackend(ModelBackend):
    """Authenticates by `User.email`, which is always confirmed; allauth's EmailAddress rows are not used."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        email = kwargs.get("email")
        if not email or password is None:
            return None
        accounts = addresses.find_accounts(email)
        # check_password may upgrade the stored hash, which is no change of the password.
        with disable_auditlog():
            matches = [user for user in accounts if user.check_password(password) and self.user_can_authenticate(user)]
        if not accounts:
            User().set_password(password)  # takes as long as checking an existing account's password
        return matches[0] if matches else None


class InvitedOnlyAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Accounts are created by invitation or by an administrator; there is no sign-up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Throttle attempts per account, in place of allauth's limit; axes limits them per IP address."""
        if not AxesProxyHandler.is_allowed(request, credentials):
            return  # attempts from a locked-out IP address are not counted for the account
        if seconds := sign_in_pace.count_attempt(request, login_name(request, credentials)):
            raise ValidationError(
                f"Too many passwords were tried for this account. Wait {seconds} seconds, then try again. You can "
                "sign in immediately with a passkey, in a browser that signed in before, or after a password reset."
            )

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        user: AbstractBaseUser | None = super().authenticate(request, **credentials)
        if user:
            sign_in_pace.undo_attempt(request, login_name(request, credentials))
        return user

    def reauthenticate(self, user: AbstractBaseUser, password: str) -> bool:
        match = self.authenticate(self.request, email=getattr(user, "email", ""), password=password)
        return match is not None and match.pk == user.pk

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        super().login(request, user)
        # allauth shows this session to its owner; SessionSeenMiddleware updates the row.
        request.session[SESSION_IS_LISTED] = True

    def post_login(self, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        if email := getattr(user, "email", ""):
            sign_in_pace.remember_browser(response, email, secure=settings.SESSION_COOKIE_SECURE)
        return response

    def get_client_ip(self, request: HttpRequest) -> str:
        address = caller_ip(request)
        if not address:
            raise PermissionDenied("The client's IP address is unknown.")
        return address

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Return the URL under PUBLIC_URL, since the sender of a request chooses its Host header."""
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return str(settings.PUBLIC_URL) + path.replace("UID-KEY", quote(key))

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        if email or user.email:
            super().send_notification_mail(template_prefix, user, context, email or user.email)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail; failures are logged and do not fail the page.

        The password link is sent by another thread: mail is only sent for addresses with an account, so that waiting
        for the mail server would reveal which addresses have one.
        """
        site = {"domain": urlsplit(settings.PUBLIC_URL).netloc, "name": "Afterclick"}
        context = {**context, "request": self.request, "email": email, "current_site": site, "hub": settings.PUBLIC_URL}
        message = self.render_mail(template_prefix, email, context)
        message.get_connection()  # opened here, since the message caches it
        if template_prefix == PASSWORD_LINK and settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
            _mail_threads.submit(_send, message, template_prefix)
        else:
            _send(message, template_prefix)


def _send(message: EmailMessage, template: str) -> None:
    try:
        message.send()
    except OSError as error:  # smtplib's errors are OSErrors; their text repeats the address
        logger.error("account_mail_not_sent", template=template, error=type(error).__name__)


class EncryptedSecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth ships no types
    """Encrypts the secrets of authenticator apps and recovery codes with CREDENTIAL_KEYS."""

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return str(decrypt(encrypted_text))

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return f"Passkey {count + 1}" if count else "Passkey"


def login_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """Return the submitted address in lower case, by which axes counts failures.

    By default axes does not read `email`, which allauth authenticates with, and would count all accounts together.
    """
    credentials = credentials or {}
    # The credentials come first: the form of a reauthentication has no `login`, but a sender could add one.
    name = credentials.get("email") or credentials.get("username") or credentials.get("login")
    return str(name or request.POST.get("login") or "").strip().lower()


def failure_address(request: HttpRequest) -> str:
    """Return the IP address that failures are counted by: of an IPv6 address its /64, which one client owns."""
    address = caller_ip(request)
    if address and isinstance(ip_address(address), IPv6Address):
        return str(ip_network(f"{address}/64", strict=False).network_address)
    return address
