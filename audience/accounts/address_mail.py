"""The mails about an address that changes: a link to the new one, word to the old one."""

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from audience.accounts.addresses import RequestedChange

logger = structlog.get_logger(__name__)

# Backends that write mail down instead of sending it: what EMAIL_URL leaves when it is unset.
NON_SENDING_BACKENDS = ("console.EmailBackend", "dummy.EmailBackend", "filebased.EmailBackend")


def has_mail_server() -> bool:
    """Whether this installation has a mail server (EMAIL_URL)."""
    return not str(settings.EMAIL_BACKEND).endswith(NON_SENDING_BACKENDS)


def send_link(asked: RequestedChange) -> bool:
    """The link, to the new address; to one that another account has, only that. False when it was not taken."""
    template = "address_taken" if asked.taken else "address_confirm"
    return _send(asked.change.email, "Confirm your address", template, change=asked.change, link=link(asked))


def notify_requested(asked: RequestedChange, address: str) -> bool:
    """Word to the present address that a change was asked for."""
    return _send(address, "A new address was asked for", "address_asked", change=asked.change)


def notify_changed(*, before: str, after: str) -> bool:
    """Word to the address before that the account has another one now."""
    return _send(before, "Your address was changed", "address_changed", before=before, after=after)


def link(asked: RequestedChange) -> str:
    """Where the change is confirmed, under PUBLIC_URL whatever the request's Host says."""
    return str(settings.PUBLIC_URL) + reverse("address-confirm", kwargs={"token": asked.token})


def _send(to: str, subject: str, template: str, **context: object) -> bool:
    """False when there is no such address or the mail server did not take the mail."""
    if not to:
        return False
    message = EmailMessage(
        subject=f"[Afterclick] {subject}",
        body=render_to_string(f"mail/{template}.txt", {**context, "hub": settings.PUBLIC_URL}),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[to],
        headers={"Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; their text repeats the address
        logger.warning("address_mail_not_sent", template=template, error=type(error).__name__)
        return False
    return True
