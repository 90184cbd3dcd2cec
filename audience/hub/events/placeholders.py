"""Events with a placeholder in place of an id (audience/ids/values.py), counted by the digest."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Max, Sum
from django.urls import reverse

from audience.database import clock
from audience.intake.messages.message import LINKED_ID
from audience.models import Game, PlaceholderCount

# Today (UTC) and the six days before.
DAYS = 7
LABELS = {"user_id": "user ID", "anonymous_id": "anonymous ID", "device_id": "device ID", LINKED_ID: "linked ID"}


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`field` is a key of LABELS, `value` what was sent. Its text, "user_id:guest", is the filter in the URL."""

    field: str
    value: str

    def __str__(self) -> str:
        return f"{self.field}:{self.value}"

    @property
    def label(self) -> str:
        return LABELS[self.field]

    def href(self, game: Game) -> str:
        """Return the URL of the list of these events."""
        return f"{reverse('events', kwargs={'slug': game.slug})}?{urlencode({'placeholder': str(self)})}"


def parse(text: str) -> Placeholder | None:
    """Parse the filter in a URL; None if it is blank or invalid."""
    field, _, value = text.partition(":")
    return Placeholder(field, value) if field in LABELS and value else None


def period_start() -> datetime:
    """Return the time of receipt from which events are counted and listed."""
    today = clock.now().astimezone(UTC).date()
    return datetime.combine(today - timedelta(days=DAYS - 1), time.min, UTC)


def most_frequent(game: Game, *, limit: int) -> list[tuple[Placeholder, int, datetime]]:
    """Return the most frequent placeholders: [(placeholder, number of events, hour of the last one), ...]."""
    counts: Any = PlaceholderCount.objects.filter(game=game, starts_at__gte=period_start(), field__in=LABELS)
    totals = counts.values_list("field", "value").annotate(total=Sum("number"), last_at=Max("starts_at"))
    rows = totals.order_by("-total", "field", "value")[:limit]
    return [(Placeholder(field, value), total, last_at) for field, value, total, last_at in rows]


def describe(note: Any) -> list[tuple[str, str]]:
    """Return [(field, text), ...] of the placeholders in an event's note, {field: value} or None."""
    sent = note if isinstance(note, dict) else {}
    return [(field, f"no usable ID (sent `{value}`)") for field, value in sent.items() if field in LABELS]
