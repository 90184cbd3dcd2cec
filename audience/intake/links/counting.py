"""Counts the clicks of tracking links by link and day, without anything about the visitor.

A process adds up its clicks and writes them at most every SAVE_SECONDS, so that many clicks of one link do not wait for
each other's lock on one row. They are written when a process ends, too; one that is killed loses those of its last
SAVE_SECONDS. While the database is unavailable they are kept, and written with a later click.
"""

import atexit
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import orjson
import structlog
from django.db import connection
from prometheus_client import Counter as Metric

from audience.intake.requests import prefetch
from audience.models import TrackingLink

logger = structlog.get_logger(__name__)

SAVE_SECONDS = 0.5
# A link that was deleted with its game is left out, so that it does not stop the others. In the order of the unique
# index, so that two processes do not deadlock.
SAVE = """
INSERT INTO audience_linkcount AS stored (game_id, link_id, day, clicks, last_at)
SELECT sent.game, sent.link, sent.day, sent.clicks, sent.last_at
FROM jsonb_to_recordset(%s) AS sent (game bigint, link bigint, day date, clicks bigint, last_at timestamptz)
WHERE EXISTS (SELECT FROM audience_trackinglink link WHERE link.id = sent.link AND link.game_id = sent.game)
ORDER BY sent.game, sent.link, sent.day
ON CONFLICT (game_id, link_id, day) DO UPDATE
SET clicks = stored.clicks + excluded.clicks, last_at = greatest(stored.last_at, excluded.last_at)
"""
CLICKS = Metric("afterclick_link_clicks", "Clicks on tracking links, by whether their event was stored.", ["outcome"])

# (game, link, day)
Day = tuple[int, int, date]


@dataclass(slots=True)
class _Clicks:
    """Clicks that are not written yet, with the time of the last one. `is_scheduled`: they will be."""

    counts: Counter[Day] = field(default_factory=Counter)
    last_at: dict[Day, datetime] = field(default_factory=dict)
    is_scheduled: bool = False


_clicks = _Clicks()
_lock = threading.Lock()


def count(link: TrackingLink, at: datetime, *, outcome: str) -> None:
    """Count a click; `outcome` is `stored`, `not_stored` after an error, `limited` for one beyond the limit of its
    address, or `counted` for another one without an event."""
    CLICKS.labels(outcome).inc()
    day = (link.game_id, link.pk, at.astimezone(UTC).date())
    with _lock:
        _clicks.counts[day] += 1
        _clicks.last_at[day] = max(at, _clicks.last_at.get(day, at))
        is_scheduled, _clicks.is_scheduled = _clicks.is_scheduled, True
    if not is_scheduled:
        timer = threading.Timer(SAVE_SECONDS, prefetch.prefetch, [save])
        timer.daemon = True
        timer.start()


def save() -> None:
    """Write the clicks of this process. Raises the errors of the database; the clicks are kept then."""
    with _lock:
        counts, last_at = _clicks.counts, _clicks.last_at
        _clicks.counts, _clicks.last_at, _clicks.is_scheduled = Counter(), {}, False
    if not counts:
        return
    rows = [
        {"game": game, "link": link, "day": day, "clicks": number, "last_at": last_at[game, link, day]}
        for (game, link, day), number in counts.items()
    ]
    try:
        with connection.cursor() as cursor:
            cursor.execute(SAVE, [orjson.dumps(rows).decode()])
    except Exception:
        with _lock:
            _clicks.counts.update(counts)
            for key, at in last_at.items():
                _clicks.last_at[key] = max(at, _clicks.last_at.get(key, at))
        raise


def _save_at_exit() -> None:
    try:
        save()
    except Exception as error:
        logger.warning("link_clicks_lost", clicks=sum(_clicks.counts.values()), error=type(error).__name__)


atexit.register(_save_at_exit)
