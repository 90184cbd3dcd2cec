"""The mails about server troubles, in plain text."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from postbacks.models import ServerTrouble


def send(trouble: ServerTrouble) -> None:
    """Mail the beginning of a trouble, or its end if it is over. Raises OSError or ValueError if the mail was not
    accepted.
    """
    subject, parts = _ended(trouble) if trouble.ended_at else _begun(trouble)
    address = settings.PUBLIC_URL + reverse("admin:postbacks_servertrouble_changelist")
    footer = f"OPERATORS_EMAIL of this server names you. All its troubles: {address}"
    EmailMessage(
        subject=f"[Afterclick] {subject} on {urlsplit(settings.PUBLIC_URL).netloc}",
        body="\n\n".join([*parts, f"-- \n{footer}\n"]),
        to=settings.OPERATORS_EMAIL,
        # The same on every attempt, so that a mailbox shows a repeated mail once.
        headers={
            "Message-ID": f"<server-trouble-{trouble.pk}-{'end' if trouble.ended_at else 'begin'}@afterclick>",
            "Auto-Submitted": "auto-generated",
        },
    ).send()


def _begun(trouble: ServerTrouble) -> tuple[str, list[str]]:
    since = f"Since {_moment(trouble.began_at)}."
    return trouble.title, [trouble.sentence, since, f"What to do: {trouble.next_step}"]


def _ended(trouble: ServerTrouble) -> tuple[str, list[str]]:
    assert trouble.ended_at
    lasted = f"It lasted from {_moment(trouble.began_at)} to {_moment(trouble.ended_at)}."
    return f"Over: {trouble.title}", [lasted, f"What it was: {trouble.sentence}"]


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
