"""How much a game's keys are used: what came in with each, and whether a replaced one is still in use."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from audience.models import ApiKey, Batch, Game

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Usage:
    """Acknowledged requests with one key, and the messages in them (duplicates and rejected ones included)."""

    hour_requests: int = 0
    day_requests: int = 0
    day_messages: int = 0
    week_requests: int = 0
    week_messages: int = 0


NO_USE = Usage()


def usage_by_key(game: Game) -> dict[int, Usage]:
    """The last seven days by key id, in one query over the game's batches; an unused key is left out."""
    now = timezone.now()
    in_hour, in_day = Q(received_at__gte=now - HOUR), Q(received_at__gte=now - DAY)
    messages = F("accepted") + F("duplicates") + F("rejected")
    rows = (
        Batch.objects.filter(game=game, received_at__gte=now - WEEK, key__isnull=False)
        .values("key_id")
        .annotate(
            hour_requests=Count("pk", filter=in_hour),
            day_requests=Count("pk", filter=in_day),
            day_messages=Sum(messages, filter=in_day, default=0),
            week_requests=Count("pk"),
            week_messages=Sum(messages, default=0),
        )
    )
    counts = [field.name for field in fields(Usage)]
    return {row["key_id"]: Usage(*(row[name] for name in counts)) for row in rows.values("key_id", *counts)}


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
