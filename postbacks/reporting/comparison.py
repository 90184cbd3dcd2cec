"""A postback beside the report of its network: its deliveries by day of the ad account and event, and why some of them
are missing there.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Count, DateTimeField, F, Func, IntegerField, QuerySet, Sum, Value

from audience.models import Reason, ValueProblem
from postbacks.models import Delivery, PostbackConfig
from postbacks.reporting import figures
from postbacks.reporting.conversion_status import ConversionFilter, selected
from postbacks.reporting.statuses import Status

# The columns of the table: figures of postbacks/reporting/figures.py.
COLUMNS = ("eligible", "sent", "accepted", "confirmed", "refused")
# Figures that say why an eligible conversion is not accepted, beside the reasons of those not sent.
MISSING = ("refused", "expired", "held", "waiting", "unknown", "canceled")
UNDECIDED = Status.UNDECIDED.value


@dataclass(slots=True)
class Numbers:
    """The columns of one row, and the values of what was accepted by currency."""

    counts: Counter[str] = field(default_factory=Counter)
    values: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, other: "Numbers") -> None:
        self.counts.update(other.counts)
        for currency, value in other.values.items():
            self.values[currency] += value


@dataclass(frozen=True, slots=True)
class Comparison:
    """`by_day` and `by_event` have no rows without conversions; `by_day` begins with the newest day.

    `findings` is {key: {event: number}}: a Reason, a ValueProblem, one of MISSING, "unconfirmed" or UNDECIDED.
    """

    by_day: dict[tuple[date, str], Numbers]
    by_event: dict[str, Numbers]
    total: Numbers
    findings: dict[str, dict[str, int]]

    @property
    def missing(self) -> int:
        """The eligible conversions that the network did not accept."""
        return self.total.counts["eligible"] - self.total.counts["accepted"]


def deliveries_of(config: PostbackConfig, *, since: datetime, until: datetime) -> QuerySet[Delivery]:
    """Return the deliveries of a postback by the time of the event."""
    return Delivery.objects.filter(game=config.game_id, config=config, event_at__gte=since, event_at__lt=until)


def compare(config: PostbackConfig, *, dates: Sequence[date], starts: Sequence[datetime]) -> Comparison:
    """Return the deliveries of a postback on `dates`, in four queries. `starts` are the starts of the dates, and the
    end of the last one."""
    rows = deliveries_of(config, since=starts[0], until=starts[-1])
    by_day: dict[tuple[date, str], Numbers] = defaultdict(Numbers)
    by_event: dict[str, Numbers] = defaultdict(Numbers)
    total = Numbers()
    for bucket, trigger, numbers in _numbers(rows, starts):
        for sums in (by_day[dates[bucket - 1], trigger], by_event[trigger], total):
            sums.add(numbers)
    newest_first = sorted(by_day, key=lambda key: (-key[0].toordinal(), key[1]))
    undecided = _undecided(config, since=starts[0], until=starts[-1])
    return Comparison(
        by_day={key: by_day[key] for key in newest_first},
        by_event=dict(sorted(by_event.items())),
        total=total,
        findings=_findings([*_missing(rows), *_skipped(rows), *undecided]),
    )


def _numbers(rows: QuerySet[Delivery], starts: Sequence[datetime]) -> Iterable[tuple[int, str, Numbers]]:
    """Yield (number of the day from 1, event, numbers), several times for an event with several currencies.

    By the starts of the days and not by PostgreSQL's time zones, which may differ from those of Python.
    """
    day = Func(
        F("event_at"),
        Value(list(starts), output_field=ArrayField(DateTimeField())),
        function="width_bucket",
        output_field=IntegerField(),
    )
    eligible: Any = rows.filter(figures.postback_eligible()).annotate(day=day).order_by()
    counts = {name: Count("pk", filter=_condition(name)) for name in COLUMNS}
    value = Sum("conversion__value", filter=figures.postback_valued())
    grouped = eligible.values("day", "trigger", "conversion__currency").annotate(**counts, value=value)
    for row in grouped:
        values = defaultdict(Decimal) if row["value"] is None else {row["conversion__currency"]: row["value"]}
        yield row["day"], row["trigger"], Numbers(Counter({name: row[name] for name in COLUMNS}), values)


def _condition(name: str) -> Any:
    return getattr(figures, f"postback_{name}")()


def _missing(rows: QuerySet[Delivery]) -> Iterable[tuple[str, str, int]]:
    """Yield (key, event, number) of what was not accepted, not confirmed, or accepted without its value."""
    conditions = {name: _condition(name) for name in (*MISSING, "unconfirmed")}
    conditions |= {problem.value: figures.postback_without_value(problem) for problem in ValueProblem}
    counts = {name: Count("pk", filter=condition) for name, condition in conditions.items()}
    grouped: Any = rows.filter(figures.postback_eligible()).values("trigger").annotate(**counts).order_by()
    for row in grouped:
        yield from ((name, row["trigger"], row[name]) for name in conditions)


def _skipped(rows: QuerySet[Delivery]) -> Iterable[tuple[str, str, int]]:
    skipped: Any = rows.filter(figures.postback_skipped()).values_list("reason", "trigger").annotate(Count("pk"))
    for reason, trigger, number in skipped.order_by():
        yield Reason(reason).value, trigger, number


def _undecided(config: PostbackConfig, *, since: datetime, until: datetime) -> Iterable[tuple[str, str, int]]:
    """Yield (UNDECIDED, event, number) of conversions of the network's clicks that have no delivery yet."""
    filters = ConversionFilter(game=config.game, since=since, until=until, network=config.network)
    rows: Any = selected(filters, UNDECIDED).values_list("trigger").annotate(Count("pk")).order_by()
    for trigger, number in rows:
        yield UNDECIDED, trigger, number


def _findings(rows: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    """Return {key: {event: number}}, the largest number first."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for key, trigger, number in rows:
        if number:
            found[key][trigger] = number
    return dict(sorted(found.items(), key=lambda item: (-_sum(item[1]), item[0])))


def _sum(by_event: Mapping[str, int]) -> int:
    return sum(by_event.values())
