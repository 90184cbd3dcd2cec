"""Mails about accounts: invitations and changes of address. The sending functions return whether the mail was sent."""

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

from audience.accounts.addresses import RequestedChange
from audience.accounts.members import NewInvitation

logger = structlog.get_logger(__name__)

# Backends that store or print mail instead of sending it: the default without EMAIL_URL.
NON_SENDING_BACKENDS = ("console.EmailBackend", "dummy.EmailBackend", "filebased.EmailBackend")


def has_mail_server() -> bool:
    """Whether this installation has a mail server (EMAIL_URL)."""
    return not str(settings.EMAIL_BACKEND).endswith(NON_SENDING_BACKENDS)


def send_invitation(new: NewInvitation) -> bool:
    """Mail the link now, since its token is not stored."""
    invitation = new.invitation
    subject = f"You are invited to {invitation.game}"
    return _send(invitation.email, subject, "invitation", invitation=invitation, link=new.link)


def send_address_link(requested: RequestedChange) -> bool:
    """Mail the link to the new address; if another account has that address, a notice without the link."""
    template = "address_taken" if requested.taken else "address_confirm"
    change = requested.change
    return _send(change.email, "Confirm your email address", template, change=change, link=requested.link)


def notify_change_requested(requested: RequestedChange, address: str) -> bool:
    """Notify the present address that a change was requested."""
    return _send(address, "A change of your email address was requested", "address_requested", change=requested.change)


def notify_changed(*, before: str, after: str) -> bool:
    """Notify the previous address that the account has a new one."""
    return _send(before, "Your email address was changed", "address_changed", before=before, after=after)


def _send(to: str, subject: str, template: str, **context: object) -> bool:
    """Send mail/<template>.txt now; return False if `to` is empty or the mail server did not accept the mail."""
    if not to:
        return False
    message = EmailMessage(
        # Line breaks, which a game's name may contain, are not allowed in headers.
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
