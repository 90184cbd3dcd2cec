"""The use of a game's keys, and whether a replaced key is still used."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, Sum

from audience.database import clock
from audience.models import ApiKey, Game, RequestCount

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Usage:
    """Acknowledged requests with one key, and their messages (duplicates and rejected ones included).

    The last hour is counted by minute, the last day and week by quarter hour; the current one is included.
    """

    hour_requests: int = 0
    day_requests: int = 0
    day_messages: int = 0
    week_requests: int = 0
    week_messages: int = 0


NO_USAGE = Usage()


def usage_by_key(game: Game) -> dict[int, Usage]:
    """Return {key id: Usage} of the last seven days, without unused keys. Read from RequestCount."""
    now = clock.now()
    last_hour, day = Q(starts_at__gte=now.replace(second=0, microsecond=0) - HOUR), Q(starts_at__gte=now - DAY)
    messages = F("accepted") + F("duplicates") + F("rejected")
    sums: dict[str, Any] = {
        "hour_requests": Sum("requests", filter=last_hour, default=0),
        "day_requests": Sum("requests", filter=day, default=0),
        "day_messages": Sum(messages, filter=day, default=0),
        "week_requests": Sum("requests"),
        "week_messages": Sum(messages),
    }
    rows: Any = RequestCount.objects.filter(game_id=game.pk, starts_at__gte=now - WEEK).exclude(key_id=0)
    return {row.pop("key_id"): Usage(**row) for row in rows.values("key_id").annotate(**sums)}


def used_since_rotation(key: ApiKey) -> bool:
    """Whether a replaced key still works and was used after its successor was created."""
    successor = key.replaced_by
    return bool(key.is_live and successor and key.last_used_at and key.last_used_at > successor.created_at)


def time_left(until: datetime, now: datetime) -> str:
    """Return the remaining time as text: "3 d 4 h", "4 h 20 min", "20 min", "less than a minute"."""
    minutes = max(int((until - now).total_seconds()), 0) // 60
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else "less than a minute"
