"""Mails operators when a server trouble begins and ends, once each.

Every process checks regularly (config/heartbeat.py), so that a dead worker is reported by the beat and the web
processes, and a dead beat by the others. Troubles and sent mails are stored in the database; while that is unavailable
nothing is mailed, and `/readyz` reports it.
"""

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from audience.accounts.mail import has_mail_server
from audience.database import clock
from postbacks.models import ServerTrouble
from postbacks.monitoring.server import mail, server_troubles
from postbacks.monitoring.server.trouble import Trouble

logger = structlog.get_logger(__name__)

# A trouble ends once it was not found for this long, so that an intermittent one is mailed once.
ENDED_AFTER = timedelta(minutes=10)
# Between two attempts of one mail; longer than the timeout of the mail server (config/environment.py).
MAIL_RETRY_AFTER = timedelta(minutes=1)
# A mail that could not be sent for this long is dropped.
MAIL_DROPPED_AFTER = timedelta(days=1)
RETENTION = timedelta(days=30)
LOCK_NAME = "server troubles"
THREAD_NAME = "mailing"


def record_and_mail() -> None:
    """Record which troubles began and ended, and send due mails. Raises DatabaseError without a database."""
    now = clock.now()
    record(server_troubles.find_troubles(now=now), now=now)
    if due(now):
        _start_mailing()


def _start_mailing() -> None:
    """Send due mails on a thread, since a slow mail server must not delay the heartbeat; one thread per process."""
    if not any(thread.name == THREAD_NAME for thread in threading.enumerate()):
        threading.Thread(target=_mail_due, name=THREAD_NAME, daemon=True).start()


def _mail_due() -> None:
    try:
        send_due(now=clock.now())
    except Exception:  # otherwise not logged; the mail is due again after MAIL_RETRY_AFTER
        logger.exception("server_trouble_not_mailed")
    finally:
        connection.close()


@transaction.atomic
def record(troubles: Iterable[Trouble], *, now: datetime) -> None:
    """Store new troubles and close those that ended; do nothing while another process does so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK_NAME])
        if not cursor.fetchone()[0]:
            return
    open_troubles = {row.kind: row for row in ServerTrouble.objects.filter(ended_at=None)}
    for trouble in troubles:
        texts = {"title": trouble.title, "sentence": trouble.sentence, "next_step": trouble.next_step, "seen_at": now}
        if row := open_troubles.pop(trouble.kind.value, None):
            ServerTrouble.objects.filter(pk=row.pk).update(**texts)
            continue
        ServerTrouble.objects.create(kind=trouble.kind, began_at=trouble.since or now, next_mail_at=now, **texts)
        logger.error("server_trouble_began", kind=trouble.kind.value, sentence=trouble.sentence)
    for row in open_troubles.values():
        if now - row.seen_at >= ENDED_AFTER:
            ServerTrouble.objects.filter(pk=row.pk).update(ended_at=row.seen_at, next_mail_at=now)
            logger.warning("server_trouble_ended", kind=row.kind)
    ServerTrouble.objects.filter(ended_at__lt=now - RETENTION).delete()


def send_due(*, now: datetime) -> None:
    """Send the due mails that no other process has claimed."""
    for trouble in due(now):
        if claim_mail(trouble, now):
            _mail(trouble, now)


def due(now: datetime) -> list[ServerTrouble]:
    """Return troubles with a due mail; none without a mail server, since each is in the log already.

    The end of a trouble is mailed only if its beginning was.
    """
    if not settings.OPERATORS_EMAIL or not has_mail_server():
        return []
    begin_due = Q(ended_at=None, begin_mailed_at=None)
    end_due = Q(ended_at__gt=now - MAIL_DROPPED_AFTER, begin_mailed_at__isnull=False, end_mailed_at=None)
    return list(ServerTrouble.objects.filter(begin_due | end_due, next_mail_at__lte=now).order_by("pk"))


def claim_mail(trouble: ServerTrouble, now: datetime) -> bool:
    """Claim the due mail of a trouble; return False if another process has claimed it."""
    unclaimed = ServerTrouble.objects.filter(pk=trouble.pk, next_mail_at=trouble.next_mail_at)
    return unclaimed.update(next_mail_at=now + MAIL_RETRY_AFTER) == 1


def _mail(trouble: ServerTrouble, now: datetime) -> None:
    try:
        mail.send(trouble)
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; their text repeats the address
        logger.warning("server_trouble_not_mailed", kind=trouble.kind, error=type(error).__name__)
        return
    column = "end_mailed_at" if trouble.ended_at else "begin_mailed_at"
    ServerTrouble.objects.filter(pk=trouble.pk).update(**{column: now})
