"""The mail with an invitation's link."""

from django.conf import settings
from django.urls import reverse

from audience.accounts.mail import send_mail
from audience.accounts.members import NewInvitation


def send(new: NewInvitation) -> bool:
    """Mail the link now, since its token is not stored; return False if the mail server did not accept the mail."""
    invitation = new.invitation
    subject = f"You are invited to {invitation.game}"
    return send_mail(invitation.email, subject, "invitation", invitation=invitation, link=link(new))


def link(new: NewInvitation) -> str:
    """Return the URL where the invitation is accepted."""
    return str(settings.PUBLIC_URL) + reverse("invitation", kwargs={"token": new.token})
