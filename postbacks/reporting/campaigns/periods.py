"""Period: whole days in a time zone, and how they are read from figures by day and by quarter hour."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from audience.database import clock
from audience.models import Game
from audience.wording import days as whole_days
from audience.wording.days import DAY, Days, midnight


@dataclass(frozen=True, slots=True)
class Period(Days):
    """Days of a report."""

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def starts_at(self) -> datetime:
        return midnight(self.first, self.zone)

    @property
    def ends_at(self) -> datetime:
        """The end of the last day, not included."""
        return midnight(self.last + DAY, self.zone)

    def before(self) -> "Period":
        """Return the period of as many days before this one."""
        return Period(self.first - timedelta(days=self.days), self.first - DAY, self.zone)

    def parts(self, game_zone: ZoneInfo) -> "PeriodParts":
        """Return the whole days in the game's time zone, and the quarter hours before and after them."""
        return parts_between(self.starts_at, self.ends_at, game_zone)


@dataclass(frozen=True, slots=True)
class PeriodParts:
    """`days`: the first and the last whole day; `edges`: [start, end) in UTC."""

    days: tuple[date, date] | None
    edges: tuple[tuple[datetime, datetime], ...]


def parts_between(starts_at: datetime, ends_at: datetime, game_zone: ZoneInfo) -> PeriodParts:
    """Return the whole days of a span in the game's time zone, and the quarter hours before and after them."""
    first = starts_at.astimezone(game_zone).date()
    if midnight(first, game_zone) < starts_at:
        first += DAY
    last = ends_at.astimezone(game_zone).date() - DAY
    if first > last:
        return PeriodParts(None, ((starts_at, ends_at),))
    edges = ((starts_at, midnight(first, game_zone)), (midnight(last + DAY, game_zone), ends_at))
    return PeriodParts((first, last), tuple(edge for edge in edges if edge[0] < edge[1]))


def last_days(game: Game, days: int) -> Period:
    """Return the last days until today, in the game's time zone."""
    found = whole_days.last_days(days, game.zone, now=clock.now())
    return Period(found.first, found.last, found.zone)
