"""The filters of the delivery log in the URL."""

from dataclasses import dataclass
from uuid import UUID

from audience.database import clock
from audience.hub.toolkit.access import HubRequest
from audience.hub.toolkit.date_range import BEGINNING, END, LAST_HOUR, PRESETS, DateRange, read_range
from audience.hub.toolkit.filters import Filter, choice, search_text
from audience.models import Game, trigger_label
from audience.models.goals import conversion_event_names
from postbacks.models import AttemptStatus, DeliveryState
from postbacks.reporting.attempt_log import REASONS, LogFilter, deliveries_found
from postbacks.reporting.labels import STATES

DEFAULT_PERIOD = "24h"
MAX_QUERY_LENGTH = 2048
STATUSES = (
    ("", "All"),
    *((status.value, status.label) for status in AttemptStatus if status != AttemptStatus.SENDING),
)


@dataclass(frozen=True, slots=True)
class LogFilters:
    """`query` is an id to search for, at all times."""

    period: DateRange
    status: Filter
    event: Filter
    state: Filter
    reason: Filter
    query: str
    before: str

    @property
    def menus(self) -> list[Filter]:
        return [self.event, self.state, self.reason]

    @property
    def is_narrowed(self) -> bool:
        chosen = any(one.chosen for one in (self.status, *self.menus))
        return bool(chosen or self.query or self.before or self.period.entered)

    @property
    def is_live(self) -> bool:
        """Whether new attempts may appear in it."""
        return not self.before and not self.query and not self.period.entered


def read_filters(request: HubRequest, game: Game) -> LogFilters:
    """Return the filters of the URL; unknown values are ignored."""
    events = [("", "All events"), *((name, trigger_label(name)) for name in sorted(conversion_event_names(game=game)))]
    states = [("", "Any state"), *((state.value, STATES[state][0]) for state in DeliveryState)]
    return LogFilters(
        period=read_range(request, now=clock.now(), default=DEFAULT_PERIOD, presets=(LAST_HOUR, *PRESETS)),
        status=choice(request, "status", label="Status", choices=STATUSES),
        event=choice(request, "event", label="Event", choices=events),
        state=choice(request, "state", label="Delivery now", choices=states),
        reason=choice(request, "reason", label="Reason", choices=REASONS),
        query=search_text(request, "q", length=MAX_QUERY_LENGTH),
        before=request.GET.get("before", ""),
    )


def log_filter(filters: LogFilters, game: Game, configs: list[UUID]) -> LogFilter:
    """Return the filter by which attempts are read."""
    return LogFilter(
        since=BEGINNING if filters.query else filters.period.since,
        until=END if filters.query else filters.period.until,
        status=filters.status.chosen,
        event=filters.event.chosen,
        state=filters.state.chosen,
        reason=filters.reason.chosen,
        before=filters.before,
        deliveries=deliveries_found(game, configs, filters.query) if filters.query else None,
    )
