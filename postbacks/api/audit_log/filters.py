"""The filters of the audit log, as on its page."""

from typing import Any

from auditlog.models import LogEntry
from django_filters import rest_framework as filters

from audience.accounts.audit_log import of_kind
from audience.api.toolkit.filtering import MomentFilter
from postbacks.hub.audit_log.actors import entries_of
from postbacks.hub.audit_log.entries import KINDS

# {in answers and parameters: LogEntry.Action}; the names are auditlog's.
ACTIONS = {str(label): value for value, label in LogEntry.Action.choices}


class AuditLogFilter(filters.FilterSet):
    since = MomentFilter("timestamp", "gte", label="From this time on.")
    until = MomentFilter("timestamp", "lt", label="Before this time.")
    actor = filters.CharFilter(
        method="filter_actor", max_length=120, label="`actor.id` of an entry: a user’s id, `token:<name>`, or `system`."
    )
    kind = filters.ChoiceFilter(method="filter_kind", choices=list(KINDS.items()))
    action = filters.ChoiceFilter(method="filter_action", choices=[(name, name) for name in ACTIONS])

    def filter_actor(self, rows: Any, name: str, value: str) -> Any:
        return entries_of(rows, value)

    def filter_kind(self, rows: Any, name: str, value: str) -> Any:
        return of_kind(rows, value)

    def filter_action(self, rows: Any, name: str, value: str) -> Any:
        return rows.filter(action=ACTIONS[value])
