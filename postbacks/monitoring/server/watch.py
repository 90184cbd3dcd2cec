"""Who runs the server is mailed when a trouble begins and when it ends: once each, whichever process notices.

Every process looks from time to time (config/pulse.py), so that a worker that is dead is reported by the beat and the
web processes, and a beat that is dead by the others. What they find and what they sent is in the database: while that
is away nothing is mailed, and `/readyz` is what tells.
"""

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from audience.database import clock
from postbacks.models import ServerTrouble
from postbacks.monitoring.server import mail, server_troubles
from postbacks.monitoring.server.trouble import Trouble

logger = structlog.get_logger(__name__)

# A trouble is over when it was not found for so long: one that comes and goes is not mailed each time.
CALM = timedelta(minutes=10)
# Between two tries of the same mail; longer than the mail server may take to answer (config/environment.py).
MAIL_AGAIN = timedelta(minutes=1)
# What could not be mailed for so long is not news any more.
MAIL_WITHIN = timedelta(days=1)
KEPT = timedelta(days=30)
LOCK = "server troubles"


def look() -> None:
    """Record which troubles began and ended, and have mailed what is due. Raises DatabaseError when the database is
    away."""
    now = clock.now()
    record(server_troubles.found(now=now), now=now)
    if due(now):
        mailing.start()


class Mailing:
    """The sending of mails on a thread of its own, one at a time: a mail server may keep it waiting for as long as it
    answers a byte now and then, and the process must not be taken for dead meanwhile (config/pulse.py)."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Mail what is due, unless the last mails are still being sent; returns at once."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._send, name="mailing", daemon=True)
            self._thread.start()

    def finish(self, seconds: float) -> bool:
        """Wait for the mails under way; whether they are sent."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def _send(self) -> None:
        try:
            send_due(now=clock.now())
        except Exception:  # the thread's only log; what was not mailed is due again in a minute
            logger.exception("server_trouble_not_mailed")
        finally:
            connection.close()


mailing = Mailing()


@transaction.atomic
def record(found: Iterable[Trouble], *, now: datetime) -> None:
    """Open a row for each new trouble and close those that are over; nothing while another process does the same."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if not cursor.fetchone()[0]:
            return
    known = {row.kind: row for row in ServerTrouble.objects.filter(ended_at=None)}
    for trouble in found:
        said = {"title": trouble.title, "sentence": trouble.sentence, "next_step": trouble.next_step, "seen_at": now}
        if row := known.pop(trouble.kind.value, None):
            ServerTrouble.objects.filter(pk=row.pk).update(**said)
            continue
        ServerTrouble.objects.create(kind=trouble.kind, began_at=trouble.since or now, next_mail_at=now, **said)
        logger.error("server_trouble", kind=trouble.kind.value, sentence=trouble.sentence)
    for row in known.values():
        if now - row.seen_at >= CALM:
            ServerTrouble.objects.filter(pk=row.pk).update(ended_at=row.seen_at, next_mail_at=now)
            logger.warning("server_trouble_over", kind=row.kind)
    ServerTrouble.objects.filter(ended_at__lt=now - KEPT).delete()


def send_due(*, now: datetime) -> None:
    """Mail what is due, but for what another process has just taken up."""
    for trouble in due(now):
        if take(trouble, now):
            _mail(trouble, now)


def due(now: datetime) -> list[ServerTrouble]:
    """What is to be mailed now. The end of a trouble is told to those who were told of its beginning only."""
    if not settings.OPERATORS_EMAIL:
        return []
    begun = Q(ended_at=None, begin_mailed_at=None)
    over = Q(ended_at__gt=now - MAIL_WITHIN, begin_mailed_at__isnull=False, end_mailed_at=None)
    return list(ServerTrouble.objects.filter(begun | over, next_mail_at__lte=now).order_by("pk"))


def take(trouble: ServerTrouble, now: datetime) -> bool:
    """Whether this process is the one that sends it."""
    mine = ServerTrouble.objects.filter(pk=trouble.pk, next_mail_at=trouble.next_mail_at)
    return mine.update(next_mail_at=now + MAIL_AGAIN) == 1


def _mail(trouble: ServerTrouble, now: datetime) -> None:
    try:
        mail.send(trouble)
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; their text repeats the address
        logger.warning("server_trouble_not_mailed", kind=trouble.kind, error=type(error).__name__)
        return
    column = "end_mailed_at" if trouble.ended_at else "begin_mailed_at"
    ServerTrouble.objects.filter(pk=trouble.pk).update(**{column: now})
