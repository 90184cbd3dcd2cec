"""Sends messages as plain-text mail, with times in the time zone of their reader."""

from django.core.mail import EmailMessage
from django.utils import timezone

from audience.accounts.mail import has_mail_server
from audience.accounts.time_zone import zone_of
from audience.models import Membership
from audience.wording import dates
from postbacks.models import Alert, Notice, NoticeKind
from postbacks.monitoring.alerts import digests, key_expiry, labels
from postbacks.monitoring.alerts.recipients import NoReceiver, SendingFailed

ONLY_LOGGED = "This installation has no mail server (EMAIL_URL): the email was written to the log and was not sent."


def send(notice: Notice) -> str:
    """Send a message and return '', or ONLY_LOGGED without a mail server. Raises SendingFailed, or NoReceiver if the
    member has left.
    """
    user = notice.user
    if user is None or not user.is_active or not user.email:
        raise NoReceiver("The account no longer has an email address, or was closed.")
    if not Membership.objects.filter(game=notice.game, user=user).exists():
        raise NoReceiver("The receiver is no longer a member of the game.")
    with timezone.override(zone_of(user, notice.game)):
        subject, body = _subject_and_body(notice)
    footer = f"Change your notifications: {labels.page_url('alerts', notice.game)}"
    message = EmailMessage(
        subject=f"[Afterclick] {subject}",
        body=f"{body}\n\n-- \n{footer}\n",
        to=[user.email],
        # The same on every attempt, so that a mail client shows a repeated mail once.
        headers={"Message-ID": f"<{notice.pk}@afterclick>", "Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; their text repeats the address
        raise SendingFailed(f"The mail server did not accept the email ({type(error).__name__}).") from error
    return "" if has_mail_server() else ONLY_LOGGED


def _subject_and_body(notice: Notice) -> tuple[str, str]:
    if notice.key is not None:
        return key_expiry.text(notice.key)
    return _digest(notice) if notice.alert is None else _alert(notice.alert, notice.kind)


def _alert(alert: Alert, kind: str) -> tuple[str, str]:
    headline = labels.headline(alert, kind)
    opened = dates.moment(alert.opened_at)
    if kind == NoticeKind.RECOVERED and alert.recovered_at:
        lasted = labels.period(alert, alert.recovered_at)
        parts = [f"{headline}.", labels.ending(alert), f"The alert lasted {lasted}. {alert.cause}"]
    else:
        parts = [f"{headline}, since {opened}.", alert.cause, f"What to do: {alert.next_step}"]
    return headline, "\n\n".join([*parts, labels.integration_url(alert)])


def _digest(notice: Notice) -> tuple[str, str]:
    day = digests.day_of(notice.created_at)
    return labels.one_line(f"{notice.game} on {dates.day(day)}"), digests.text(game=notice.game, day=day)
