"""The figures of ads in a period: rows of a level, their sum, and days (definitions.py says what each counts)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Self
from zoneinfo import ZoneInfo

from django.db import connection

from audience.models import Game, Trigger
from postbacks.models import Advert
from postbacks.reporting.campaigns.periods import Period, PeriodParts, parts_between

Names = tuple[str, ...]
LEVELS = ("network", "campaign", "ad_group", "ad")
SUMS = "sum(number)::bigint, sum(players)::bigint, sum(sent)::bigint, sum(accepted)::bigint, sum(value)"
OF_DAYS = """SELECT advert_id, trigger, currency, number, players, sent, accepted, value FROM postbacks_advertday
WHERE game_id = %(game)s AND advert_id <> 0 AND day BETWEEN %(first)s AND %(last)s"""
OF_QUARTERS = """SELECT advert_id, trigger, currency, number, players, sent, accepted, value
FROM postbacks_advertquarter
WHERE game_id = %(game)s AND advert_id <> 0 AND starts_at >= %({edge}_start)s AND starts_at < %({edge}_end)s"""
# Summed by ad first: hashing the names of every row takes half of the time.
ROWS = f"""
SELECT {{names}}, trigger, currency, {SUMS}
FROM (
  SELECT advert_id, trigger, currency, sum(number) AS number, sum(players) AS players, sum(sent) AS sent,
    sum(accepted) AS accepted, sum(value) AS value
  FROM ({{figures}}) AS figures GROUP BY advert_id, trigger, currency
) AS sums JOIN postbacks_advert AS advert ON advert.game_id = %(game)s AND advert.id = advert_id
WHERE {{narrowed}} GROUP BY {{names}}, trigger, currency
"""
BY_DAY = f"""
SELECT day, trigger, currency, {SUMS} FROM postbacks_advertday
WHERE game_id = %(game)s AND day BETWEEN %(first)s AND %(last)s AND {{narrowed}} GROUP BY day, trigger, currency
"""
BY_DAY_OF_ZONE = f"""
SELECT (starts_at AT TIME ZONE %(zone)s)::date AS day, trigger, currency, {SUMS} FROM postbacks_advertquarter
WHERE game_id = %(game)s AND starts_at >= %(start)s AND starts_at < %(end)s AND {{narrowed}}
GROUP BY day, trigger, currency
"""


@dataclass(slots=True)
class Figures:
    """`events`: {trigger: conversions}; `firsts`: {trigger: players at their first}; `revenue`: {currency: amount}."""

    clicks: int = 0
    players: int = 0
    sent: int = 0
    accepted: int = 0
    events: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    firsts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    revenue: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, trigger: str, currency: str, sums: Sequence[Any]) -> Self:
        number, players, sent, accepted, value = sums
        if not trigger:
            self.clicks += number
            self.players += players
            return self
        self.events[trigger] += number
        self.firsts[trigger] += players
        self.sent += sent
        self.accepted += accepted
        if value:
            self.revenue[currency] += value
        return self

    @property
    def conversions(self) -> int:
        return sum(self.events.values())

    @property
    def launches(self) -> int:
        return self.events.get(Trigger.GAME_LAUNCH, 0)

    @property
    def purchases(self) -> int:
        return self.events.get(Trigger.PURCHASE, 0)

    @property
    def payers(self) -> int:
        return self.firsts.get(Trigger.PURCHASE, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The ads of a game whose first names are `path`: (), or a network, a campaign, an ad group, an ad."""

    game: Game
    period: Period
    path: tuple[str, ...] = ()

    @property
    def names(self) -> dict[str, str]:
        return dict(zip(LEVELS, self.path, strict=False))

    @property
    def game_zone(self) -> ZoneInfo:
        return self.game.zone

    def adverts(self, selected: Callable[[Names], bool] | None = None, *, depth: int = 0) -> list[int]:
        """Return the ids of the ads of the path; with `selected` of those whose first `depth` names it selects."""
        rows = Advert.objects.filter(game=self.game, **self.names)
        if selected is None:
            return list(rows.values_list("pk", flat=True))
        named = rows.values_list("pk", *LEVELS[:depth])
        return [row[0] for row in named if selected(row[1:])]


def rows_of(scope: Scope, *, depth: int) -> dict[Names, Figures]:
    """Return {the first `depth` names: figures} of the ads that have any in the period."""
    return _rows(scope.game, scope.period.parts(scope.game_zone), names=scope.names, depth=depth)


def by_network(game: Game, *, since: datetime, until: datetime) -> dict[str, Figures]:
    """Return {network: figures} of the clicks and conversions of a span of whole quarter hours."""
    parts = parts_between(since, until, game.zone)
    return {network: figures for (network,), figures in _rows(game, parts, names={}, depth=1).items()}


def _rows(game: Game, parts: PeriodParts, *, names: dict[str, str], depth: int) -> dict[Names, Figures]:
    params: dict[str, Any] = {"game": game.pk, **names}
    figures = []
    if parts.days:
        params |= {"first": parts.days[0], "last": parts.days[1]}
        figures.append(OF_DAYS)
    for number, (start, end) in enumerate(parts.edges):
        params |= {f"edge{number}_start": start, f"edge{number}_end": end}
        figures.append(OF_QUARTERS.format(edge=f"edge{number}"))
    narrowed = " AND ".join(f"advert.{name} = %({name})s" for name in names) or "true"
    query = ROWS.format(names=", ".join(LEVELS[:depth]), figures=" UNION ALL ".join(figures), narrowed=narrowed)
    found: dict[Names, Figures] = defaultdict(Figures)
    for row in _fetch(query, params):
        found[row[:depth]].add(row[depth], row[depth + 1], row[depth + 2 :])
    return dict(found)


def by_day(scope: Scope, adverts: Sequence[int] | None = None) -> dict[date, Figures]:
    """Return {day: figures} of the days of the period that have any, in its time zone: of the ads of the path, or of
    `adverts`."""
    period = scope.period
    if adverts is None and scope.path:
        adverts = scope.adverts()
    params: dict[str, Any] = {"game": scope.game.pk, "first": period.first, "last": period.last, "adverts": adverts}
    if period.zone == scope.game_zone:
        query = BY_DAY
    else:
        query = BY_DAY_OF_ZONE
        params |= {"zone": period.zone.key, "start": period.starts_at, "end": period.ends_at}
    found: dict[date, Figures] = defaultdict(Figures)
    for day, trigger, currency, *sums in _fetch(
        query.format(narrowed="advert_id = 0" if adverts is None else "advert_id = ANY(%(adverts)s)"), params
    ):
        found[day].add(trigger, currency, sums)
    return dict(found)


def total(rows: Iterable[Figures]) -> Figures:
    """Return the sum of figures."""
    result = Figures()
    for row in rows:
        for name in ("clicks", "players", "sent", "accepted"):
            setattr(result, name, getattr(result, name) + getattr(row, name))
        for name in ("events", "firsts", "revenue"):
            for key, value in getattr(row, name).items():
                getattr(result, name)[key] += value
    return result


def _fetch(query: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return list(cursor.fetchall())
