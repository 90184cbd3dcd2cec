"""Failed work, which can be retried; the running processes of this installation, and how far pruning has come."""

from django.contrib import admin, messages
from django.http import HttpRequest

from audience.admin.base import ReadOnly
from audience.admin.operations import confirmed_action
from audience.background import set_aside
from audience.models import FailedWork, Heartbeat, PrunePosition


@admin.register(FailedWork)
class FailedWorkAdmin(ReadOnly):
    list_display = ["queue", "row", "game", "attempts", "error", "first_failed_at", "next_attempt_at", "set_aside_at"]
    list_filter = ["queue", ("set_aside_at", admin.EmptyFieldListFilter), "game"]
    list_select_related = ["game"]
    search_fields = ["row__exact"]
    search_help_text = "The full ID of the row."
    ordering = ["-pk"]
    actions = ["try_again"]

    @confirmed_action(
        "Try again",
        permission="operate",
        title="Try these again?",
        warning="Each row is tried separately and immediately. A row that keeps failing is set aside again.",
    )
    def try_again(self, request: HttpRequest, rows: list[FailedWork]) -> None:
        number = set_aside.retry_set_aside(FailedWork.objects.filter(pk__in=[row.pk for row in rows]))
        self.message_user(request, f"Queued again: {number}.", messages.SUCCESS)


@admin.register(PrunePosition)
class PrunePositionAdmin(ReadOnly):
    list_display = ["step", "last_id"]
    ordering = ["step"]


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly):
    list_display = ["kind", "name", "started_at", "seen_at", "worked_at"]
    list_filter = ["kind"]
    ordering = ["kind", "-seen_at"]
