"""Sending one of the account mails, and whether this installation can send mail at all."""

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

logger = structlog.get_logger(__name__)

# Backends that store or print mail instead of sending it: the default without EMAIL_URL.
NON_SENDING_BACKENDS = ("console.EmailBackend", "dummy.EmailBackend", "filebased.EmailBackend")


def has_mail_server() -> bool:
    """Whether this installation has a mail server (EMAIL_URL)."""
    return not str(settings.EMAIL_BACKEND).endswith(NON_SENDING_BACKENDS)


def send_mail(to: str, subject: str, template: str, **context: object) -> bool:
    """Send mail/<template>.txt now; return False if `to` is empty or the mail server did not accept the mail."""
    if not to:
        return False
    message = EmailMessage(
        # A line break, as in the name of a game, would be refused in a header.
        subject=" ".join(f"[Afterclick] {subject}".split()),
        body=render_to_string(f"mail/{template}.txt", {**context, "hub": settings.PUBLIC_URL}),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[to],
        headers={"Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; their text repeats the address
        logger.warning("account_mail_not_sent", template=template, error=type(error).__name__)
        return False
    return True
