"""The figures of a game in a period: events accepted and rejected, and conversions by network of the click.

Read from rollups (audience/storage/rollups.py), whose size does not depend on the traffic.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Sum

from audience.hub.events.counts import column_of
from audience.models import Conversion, ConversionCount, Game, RequestCount
from postbacks.reporting.funnel import Tally

# The newest conversions searched for missing values, since no index has them.
SCAN_LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The messages of one hour or day, or of a period."""

    accepted: int = 0
    rejected: int = 0


def read_events(game: Game, edges: Sequence[datetime]) -> dict[datetime, EventCounts]:
    """Return {start: EventCounts} of the times between the edges, oldest first."""
    rows: Any = RequestCount.objects.filter(**_within(game, edges[0], edges[-1])).values_list(column_of(edges))
    counts = {number: EventCounts(*sums) for number, *sums in rows.annotate(Sum("accepted"), Sum("rejected"))}
    return {start: counts.get(number, EventCounts()) for number, start in enumerate(edges[:-1], 1)}


def read_conversions(game: Game, *, since: datetime, until: datetime) -> dict[str, Tally]:
    """Return the conversions of the period by network of the attributed click, '' without one. Missing values are those
    of the newest SCAN_LIMIT conversions."""
    rows: Any = ConversionCount.objects.filter(**_within(game, since, until)).values_list("network", "currency")
    tallies: dict[str, Tally] = defaultdict(Tally)
    sums = rows.annotate(count=Sum("number"), with_value=Sum("valued"), total=Sum("value"))
    for network, currency, count, with_value, value in sums.filter(count__gt=0):
        tallies[network] += Tally(count, {currency: value} if with_value else {})
    conversions = Conversion.objects.filter(game=game, event_at__lt=until)
    newest = conversions.order_by("-event_at").values_list("event_at", flat=True)
    since = max(since, newest[SCAN_LIMIT - 1 : SCAN_LIMIT].first() or since)
    unsent = conversions.filter(event_at__gte=since).counted().exclude(value_problem="").order_by()
    for network, problem, count in unsent.values_list("touch__network", "value_problem").annotate(Count("pk")):
        tallies[network or ""] += Tally(problems={problem: count})
    return dict(tallies)


def _within(game: Game, since: datetime, until: datetime) -> dict[str, Any]:
    return {"game_id": game.pk, "starts_at__gte": since, "starts_at__lt": until}
