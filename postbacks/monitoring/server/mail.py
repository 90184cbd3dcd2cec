"""Plain-text mails about server troubles."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from audience.wording import dates
from postbacks.models import ServerTrouble


def send(trouble: ServerTrouble) -> None:
    """Mail that a trouble began or, if it is over, that it ended. Raises OSError or ValueError if the mail server did
    not accept the mail.
    """
    subject, parts = _end_text(trouble) if trouble.ended_at else _begin_text(trouble)
    address = settings.PUBLIC_URL + reverse("admin:postbacks_servertrouble_changelist")
    footer = (
        f"You receive this email because your address is in OPERATORS_EMAIL. All problems of this server: {address}"
    )
    EmailMessage(
        subject=f"[Afterclick] {subject} on {urlsplit(settings.PUBLIC_URL).netloc}",
        body="\n\n".join([*parts, f"-- \n{footer}\n"]),
        to=settings.OPERATORS_EMAIL,
        # The same on every attempt, so that a mail client shows a repeated mail once.
        headers={
            "Message-ID": f"<server-trouble-{trouble.pk}-{'end' if trouble.ended_at else 'begin'}@afterclick>",
            "Auto-Submitted": "auto-generated",
        },
    ).send()


def _begin_text(trouble: ServerTrouble) -> tuple[str, list[str]]:
    since = f"Since {dates.exact(trouble.began_at)}."
    return trouble.title, [trouble.sentence, since, f"What to do: {trouble.next_step}"]


def _end_text(trouble: ServerTrouble) -> tuple[str, list[str]]:
    assert trouble.ended_at
    period = f"It lasted from {dates.exact(trouble.began_at)} to {dates.exact(trouble.ended_at)}."
    return f"Over: {trouble.title}", [period, f"Problem: {trouble.sentence}"]
