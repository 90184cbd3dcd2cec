"""How much a game's keys are used: what came in with each, and whether a replaced one is still in use."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, F, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from audience.models import ApiKey, Batch, Game

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
# The running hour, and the one before it, in which a request may still be committed.
LIVE = 2
KEPT = DAY

# Requests and messages of each key, by the start of the hour.
Hours = dict[datetime, dict[int, tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Usage:
    """Acknowledged requests with one key, and the messages in them (duplicates and rejected ones included).

    A day and a week are as many whole hours of the clock as lie in them, and the running one.
    """

    hour_requests: int = 0
    day_requests: int = 0
    day_messages: int = 0
    week_requests: int = 0
    week_messages: int = 0


NO_USE = Usage()


def usage_by_key(game: Game) -> dict[int, Usage]:
    """The last seven days by key id; an unused key is left out. An hour that is over is counted once per process."""
    now = timezone.now()
    kept: Hours = cache.get(f"key-usage:{game.pk}", {})
    live = now.replace(minute=0, second=0, microsecond=0) - (LIVE - 1) * HOUR
    known = {at: counts for at, counts in kept.items() if at >= now - WEEK}
    start = max(known, default=now - WEEK - HOUR) + HOUR
    fresh = _counted(game, min(start, live), now)
    hours: Hours = {at: counts for at, counts in {**known, **fresh}.items() if at >= now - WEEK}
    # An hour without requests has no row; the mark says that all up to it are counted.
    done = {at: counts for at, counts in hours.items() if at < live} | {live - HOUR: hours.get(live - HOUR, {})}
    cache.set(f"key-usage:{game.pk}", done, KEPT.total_seconds())
    return _added(hours, now, _last_hour(game, now))


def _counted(game: Game, start: datetime, end: datetime) -> Hours:
    """Every hour from `start` on in which anything came."""
    found: Any = Batch.objects.filter(game=game, received_at__gte=start, received_at__lte=end, key__isnull=False)
    by_hour = found.order_by().values("key_id", at=TruncHour("received_at", tzinfo=UTC))
    messages = Sum(F("accepted") + F("duplicates") + F("rejected"), default=0)
    hours: Hours = defaultdict(dict)
    for row in by_hour.annotate(requests=Count("pk"), messages=messages):
        hours[row["at"]][row["key_id"]] = (row["requests"], row["messages"])
    return dict(hours)


def _last_hour(game: Game, now: datetime) -> dict[int, int]:
    found: Any = Batch.objects.filter(game=game, received_at__gte=now - HOUR, key__isnull=False).order_by()
    return dict(found.values_list("key_id").annotate(Count("pk")))


def _added(hours: Hours, now: datetime, last_hour: dict[int, int]) -> dict[int, Usage]:
    def total(key: int, start: datetime, which: int) -> int:
        return sum(counts[key][which] for at, counts in hours.items() if at >= start and key in counts)

    return {
        key: Usage(
            hour_requests=last_hour.get(key, 0),
            day_requests=total(key, now - DAY, 0),
            day_messages=total(key, now - DAY, 1),
            week_requests=total(key, now - WEEK, 0),
            week_messages=total(key, now - WEEK, 1),
        )
        for key in {key for counts in hours.values() for key in counts}
    }


def used_since_rotation(key: ApiKey) -> bool:
    """Whether a replaced key that still works was used after its successor was made: somebody has not switched yet."""
    successor = key.replaced_by
    return bool(key.is_live and successor and key.last_used_at and key.last_used_at > successor.created_at)


def time_left(until: datetime, now: datetime) -> str:
    """What a countdown shows: "3 d 4 h", "4 h 20 min", "20 min", "less than a minute"."""
    minutes = max(int((until - now).total_seconds()), 0) // 60
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else "less than a minute"
