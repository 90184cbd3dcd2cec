"""The mail that carries an invitation's link."""

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from audience.accounts.members import NewInvitation

logger = structlog.get_logger(__name__)


def send(invited: NewInvitation) -> bool:
    """Mail the link, now, since its token is kept nowhere; False when the mail server did not take it."""
    invitation = invited.invitation
    context = {"invitation": invitation, "link": link(invited)}
    message = EmailMessage(
        # A name of several lines would be refused as a header.
        subject=" ".join(f"[Afterclick] You are invited to {invitation.game}".split()),
        body=render_to_string("mail/invitation.txt", context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[invitation.email],
        headers={"Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; their text repeats the address
        logger.warning("invitation_not_sent", invitation_id=invitation.pk, error=type(error).__name__)
        return False
    return True


def link(invited: NewInvitation) -> str:
    """Where the invited accepts."""
    return str(settings.PUBLIC_URL) + reverse("invitation", kwargs={"token": invited.token})
