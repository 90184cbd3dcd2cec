"""The audit log of a game: the page with its filters, and the CSV export."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse

from audience.accounts.audit_log import entries, of_kind
from audience.database import clock
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.date_range import ALL, PRESETS, DateRange, read_range
from audience.hub.toolkit.filters import Filter, choice
from audience.hub.toolkit.paging import newest, newest_in_pages
from audience.models import Game, Membership, Role
from postbacks.hub.audit_log.actors import SYSTEM, SYSTEM_NAME, actors, entries_of
from postbacks.hub.audit_log.entries import ACTIONS, KINDS, AuditRow, audit_row

DEFAULT_PERIOD = "30d"
MAX_DAYS = 3_660
ROWS_PER_QUERY = 500
COLUMNS = ("time", "who", "address", "kind", "action", "name", "changes")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """The filters of the URL, and the entries that match."""

    period: DateRange
    menus: list[Filter]
    entries: QuerySet[Any]

    @property
    def is_narrowed(self) -> bool:
        return any(menu.chosen for menu in self.menus)


@game_view(role=Role.ADMIN)
def audit_log(request: HubRequest, membership: Membership) -> HttpResponse:
    audit_filter, before = read_filter(request, membership.game), request.GET.get("before", "")
    listed = newest(audit_filter.entries, by="timestamp", before=before)
    context = {"rows": [audit_row(entry) for entry in listed.rows], "older": listed.older, "before": before}
    return page(request, "hub/audit_log/page.html", membership, audit_filter=audit_filter, **context)


@game_view(role=Role.ADMIN)
def audit_log_export(request: HubRequest, membership: Membership) -> StreamingHttpResponse:
    """Return the filtered log as CSV."""
    return as_csv(membership.game, read_filter(request, membership.game).entries)


def as_csv(game: Game, rows: QuerySet[Any]) -> StreamingHttpResponse:
    """Return the entries as a CSV file, newest first. Times of changes are in the active time zone."""
    log_entries = newest_in_pages(rows, by="timestamp", size=ROWS_PER_QUERY)
    name = f"audit-log-{game.slug}-{clock.now():%Y-%m-%d}.csv"
    lines = spreadsheet.lines(COLUMNS, (_cells(audit_row(entry)) for entry in log_entries))
    return spreadsheet.streamed(lines, name=name, content_type="text/csv; charset=utf-8")


def read_filter(request: HubRequest, game: Game) -> AuditFilter:
    """Return the filters of the URL; unknown values are ignored."""
    period = read_range(request, now=clock.now(), default=DEFAULT_PERIOD, presets=(*PRESETS, ALL), max_days=MAX_DAYS)
    actions = [(str(action), text) for action, text in ACTIONS.items()]
    actor = choice(request, "who", label="By", choices=[("", "Anyone"), *actors(game), (SYSTEM, SYSTEM_NAME)])
    kind = choice(request, "kind", label="Kind", choices=[("", "Anything"), *KINDS.items()])
    action = choice(request, "action", label="Action", choices=[("", "Any action"), *actions])
    rows = entries(game).select_related("actor", "content_type")
    if not period.is_all:
        rows = rows.filter(timestamp__gte=period.since, timestamp__lt=period.until)
    if actor.chosen:
        rows = entries_of(rows, actor.chosen)
    if kind.chosen:
        rows = of_kind(rows, kind.chosen)
    if action.chosen:
        rows = rows.filter(action=int(action.chosen))
    return AuditFilter(period, [actor, kind, action], rows)


def _cells(row: AuditRow) -> tuple[str, ...]:
    changes = "; ".join(f"{change.label}: {change.before or '–'} → {change.after or '–'}" for change in row.changes)
    actor = f"{row.actor}, token “{row.token}”" if row.token else row.actor
    return (row.recorded_at.isoformat(), actor, row.address, row.kind, row.action, row.name, changes)
