"""The filters of the Campaigns and Cohorts pages in the URL: dates, level, names, search, order, comparison."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from audience.database import clock
from audience.hub.toolkit.access import HubRequest
from audience.hub.toolkit.filters import Filter, Option, choice, search_text
from audience.hub.toolkit.range_input import RANGE_PARAMETERS, RangeError, has_range, read_entered, read_zone
from audience.models import Game
from audience.wording import time_zones
from postbacks.reporting.campaigns.figures import LEVELS, Scope
from postbacks.reporting.campaigns.periods import Period
from postbacks.reporting.campaigns.wording import LEVEL_LABELS, name_label, selects

RANGES = {"7": "7 days", "30": "30 days", "90": "90 days"}
DEFAULT_RANGE = "30"
# Longer periods are cut: nobody asks for more, and each day is a column of the chart.
MAX_DAYS = 731


@dataclass(frozen=True, slots=True)
class Crumb:
    """A name of the path, and the URL parameters that lead to the names up to it."""

    label: str
    query: str


@dataclass(frozen=True, slots=True)
class CampaignFilter:
    """The chosen rows. `error` says which dates were not understood; the default period is shown then."""

    scope: Scope
    ranges: Filter
    level: Filter
    query: str
    compare: bool
    error: str
    # The parameters of the names and days, for the pages beside this one.
    kept: str = ""

    @property
    def depth(self) -> int:
        return LEVELS.index(self.level.chosen) + 1

    @property
    def period(self) -> Period:
        return self.scope.period

    @property
    def level_label(self) -> str:
        return LEVEL_LABELS[self.level.chosen]

    @property
    def crumbs(self) -> list[Crumb]:
        """The names of the path, each with the parameters that lead to it."""
        path = self.scope.path
        return [Crumb(name_label(path, number), names_query(path[: number + 1])) for number in range(len(path))]

    def selects(self, names: tuple[str, ...]) -> bool:
        """Whether a row has the searched text in one of its names."""
        return selects(self.query, names)


def read_filter(request: HubRequest, game: Game, *, zone: ZoneInfo | None = None) -> CampaignFilter:
    """Return the filters of the URL, in `zone` or that of the page; unknown values are ignored."""
    path = read_path(request)
    ranges = choice(request, "range", label="Period", choices=RANGES.items(), default=DEFAULT_RANGE)
    period, error = read_period(request, int(ranges.chosen), zone=zone)
    ranges = _without_dates(request, ranges)
    levels = [(name, LEVEL_LABELS[name]) for name in LEVELS[min(len(path), len(LEVELS) - 1) :]]
    default = levels[0][0] if path else "campaign"
    level = choice(request, "by", label="Rows", choices=levels, default=default)
    query = search_text(request, "q", length=200)
    scope = Scope(game=game, period=period, path=path)
    kept = {name: request.GET[name] for name in (*LEVELS[: len(path)], "range", "from", "to") if name in request.GET}
    return CampaignFilter(scope, ranges, level, query, request.GET.get("compare") == "1", error, urlencode(kept))


def read_path(request: HubRequest) -> tuple[str, ...]:
    """Return the names in the URL, from the network on; the others are ignored without those before them."""
    path: list[str] = []
    for name in LEVELS:
        if name not in request.GET:
            break
        # Unchanged but for NUL, which PostgreSQL cannot store: a name may end with a space where it was cut.
        path.append(request.GET[name].replace("\0", ""))
    return tuple(path)


def read_period(request: HubRequest, days: int, *, zone: ZoneInfo | None) -> tuple[Period, str]:
    """Return the days from `from` to `to`, else the last `days` days until today; and what is wrong with the dates.

    Without `zone` they are in that of the URL or of the page.
    """
    now, error, fixed = clock.now(), "", zone
    zone = zone or time_zones.current()
    try:
        zone = fixed or read_zone(request.GET, zone)
        if has_range(request.GET):
            entered = read_entered(request.GET, zone=zone, now=now, max_days=MAX_DAYS)
            if entered.days:
                return Period(entered.days.first, entered.days.last, zone), ""
            error = "Campaign reports cover whole days. Remove the times."
    except RangeError as problem:
        error = str(problem)
    today = now.astimezone(zone).date()
    return Period(today - timedelta(days=days - 1), today, zone), error


def _without_dates(request: HubRequest, ranges: Filter) -> Filter:
    """Return the filter with links that leave out the dates; with dates in the URL none is chosen."""
    kept = {name: value for name, value in request.GET.items() if name not in ("range", *RANGE_PARAMETERS)}
    has_dates = bool(request.GET.get("from") or request.GET.get("to"))
    options = [
        Option(one.value, one.text, f"?{urlencode({**kept, 'range': one.value})}", one.is_chosen and not has_dates)
        for one in ranges.options
    ]
    return Filter(ranges.name, ranges.label, ranges.chosen, options)


def names_query(names: tuple[str, ...]) -> str:
    return urlencode(dict(zip(LEVELS, names, strict=False)))


def offset_of(request: HubRequest) -> int:
    """Return the number of rows before the page, 0 if it is not a number."""
    text = request.GET.get("offset", "0")
    return min(int(text), 1_000_000) if text.isascii() and text.isdigit() and len(text) < 8 else 0
