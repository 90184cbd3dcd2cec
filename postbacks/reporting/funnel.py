"""The funnel of a period: events seen, conversions, attributed, eligible, delivered.

A step counts the conversions whose statuses reached it. The losses before the next step are listed by status, and the
list of a status contains exactly the conversions counted there. Of the events seen, some become rows that no total
counts, which are listed in the same way.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from audience.hub.toolkit.paging import scan_floor
from audience.models import Conversion, Event, Game, GoalEvent, Trigger, ValueProblem
from audience.models.attribution import COUNTED
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.outbox import reasons
from postbacks.reporting import event_figures
from postbacks.reporting.conversion_status import ConversionFilter, clicks_of, selected, with_status
from postbacks.reporting.statuses import (
    ALL,
    ATTRIBUTED,
    CONVERSIONS,
    ELIGIBLE,
    HEADLINES,
    LOST,
    STEPS,
    UNCOUNTED,
    UNCOUNTED_STATUSES,
    Acknowledged,
    Status,
    statuses_reaching,
)

# The newest conversions that are counted; a longer period begins with the oldest of them. Counting 100,000 takes
# PostgreSQL 0.15 s of one core.
MAX_CONVERSIONS = 100_000
# The newest events searched for the names of conversions, since no index has the names.
SCAN_LIMIT = 20_000
SEEN = "seen"
LABELS: dict[str, str] = {
    SEEN: "Events seen",
    ALL: "Conversions and what is not counted",
    UNCOUNTED: "Not counted",
    CONVERSIONS: "Conversions",
    ATTRIBUTED: "Attributed to a click",
    ELIGIBLE: "Eligible for a postback",
    **HEADLINES,
    **dict(Status.choices),
    **dict(Acknowledged.choices),
    **{reason: text.short for reason, text in reasons.TEXTS.items()},
}


# Step -> the parts that it shows.
PARTS = {
    ELIGIBLE: (Acknowledged.UNMATCHED,),
    Status.DELIVERED.value: (Acknowledged.CONFIRMED, Acknowledged.ACCEPTED),
}


@dataclass(frozen=True, slots=True)
class Tally:
    """A number, values summed per currency, and how many have no value because of which ValueProblem."""

    count: int = 0
    sums: dict[str, Decimal] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        sums, problems = defaultdict(Decimal, self.sums), Counter(self.problems)
        for currency, value in other.sums.items():
            sums[currency] += value
        problems.update(other.problems)
        return Tally(self.count + other.count, dict(sorted(sums.items())), dict(sorted(problems.items())))

    @property
    def without_value(self) -> list[tuple[int, str, str]]:
        """Each number of conversions whose amount is missing in the sums, why, and its ValueProblem."""
        return [(number, ValueProblem(problem).label, problem) for problem, number in self.problems.items()]


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One step, and the losses before the next one by status. `at_least`: not all were counted.

    `parts` are numbers by Acknowledged, [(key, label, count), ...].
    """

    key: str
    tally: Tally
    lost: list[tuple[str, Tally]]
    at_least: bool = False
    parts: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def label(self) -> str:
        return LABELS[self.key]


def count_steps(filters: ConversionFilter) -> list[FunnelStep]:
    """Return the steps in order, from one query over conversions and one over the newest events.

    Three more if the game has a postback to a network that says later whether it counted an event.
    """
    tallies, parts = tallies_of(filters), _acknowledged(filters)
    steps = [
        FunnelStep(
            key=key,
            tally=sum((tallies[status] for status in statuses_reaching(key)), Tally()),
            lost=[(status, tallies[status]) for status in LOST[key] if tallies[status].count],
            parts=[(part.value, part.label, parts[part]) for part in PARTS.get(key, ()) if part in parts],
        )
        for key in STEPS
    ]
    uncounted = [(status, tallies[status]) for status in UNCOUNTED_STATUSES if tallies[status].count]
    least = steps[0].tally.count + sum(tally.count for _, tally in uncounted)
    return [replace(count_events(filters, least=least), lost=uncounted), *steps]


def tallies_of(filters: ConversionFilter, *, attributed_only: bool = False) -> dict[str, Tally]:
    """Return the conversions of the filter, or only those attributed to its network, by status; an empty Tally for any
    other."""
    conversions: Any = with_status(filters).order_by()
    if attributed_only:
        conversions = conversions.filter(COUNTED & Q(touch__isnull=False) & clicks_of(filters))
    rows = conversions.values_list("status", "currency", "value_problem").annotate(Count("pk"), Sum("value"))
    tallies: dict[str, Tally] = defaultdict(Tally)
    for status, currency, problem, count, value in rows:
        sums = {} if value is None else {currency: value}
        tallies[status] += Tally(count, sums, {problem: count} if problem else {})
    return tallies


def _acknowledged(filters: ConversionFilter) -> dict[Acknowledged, int]:
    """Return the numbers of conversions; {} without a postback to a network that confirms them later."""
    later = {kind for kind, network in NETWORKS.items() if network.confirms_later}
    kinds = later & {filters.network} if filters.network else later
    if not kinds or not PostbackConfig.objects.filter(game=filters.game, network__in=kinds).exists():
        return {}
    return {key: selected(filters, key).count() for key in Acknowledged}


def count_events(filters: ConversionFilter, *, least: int) -> FunnelStep:
    """Count track events with names of conversions, but return at least `least`: not all events are read or stored."""
    names = [filters.trigger] if filters.trigger else trigger_names(filters.game)
    first_day = (filters.since - timedelta(days=1)).date()
    floor = Event.objects.filter(game_id=filters.game.pk, day__gte=first_day).scan_floor(limit=SCAN_LIMIT)
    count = event_figures.seen(filters, names).filter(pk__gt=floor).count()
    return FunnelStep(SEEN, Tally(max(count, least)), [], at_least=bool(floor) or count < least)


def trigger_names(game: Game) -> list[str]:
    """Return the event names that make conversions in this game."""
    return [*Trigger.values, *GoalEvent.objects.filter(game=game).order_by("name").values_list("name", flat=True)]


def counting_start(game: Game, since: datetime, until: datetime | None) -> tuple[datetime, bool]:
    """Return the time from which conversions are counted, and whether it is after `since` due to MAX_CONVERSIONS."""
    rows = Conversion.objects.filter(game=game, event_at__gte=since)
    rows = rows.filter(event_at__lt=until) if until else rows
    last = scan_floor(rows, by="event_at", limit=MAX_CONVERSIONS)
    return (last, True) if last else (since, False)
