"""Failed work, and retrying it."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from audience.admin.base import ReadOnly, confirmation_page
from audience.background import retries
from audience.models import FailedWork


@admin.register(FailedWork)
class FailedWorkAdmin(ReadOnly):
    list_display = ["queue", "row", "game", "attempts", "error", "first_failed_at", "next_attempt_at", "set_aside_at"]
    list_filter = ["queue", ("set_aside_at", admin.EmptyFieldListFilter), "game"]
    list_select_related = ["game"]
    search_fields = ["row__exact"]
    search_help_text = "The whole id of the row."
    ordering = ["-first_failed_at"]
    actions = ["try_again"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """The change permission allows retrying; the row itself is read-only."""
        return request.user.has_perm("audience.change_failedwork")

    @admin.action(description="Try again", permissions=["operate"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        confirmation = confirmation_page(
            self,
            request,
            queryset,
            action="try_again",
            title="Try these again?",
            warning="Each is tried alone, at once. One that keeps failing is set aside again.",
            button="Try again",
        )
        if confirmation is None:
            number = retries.retry(FailedWork.objects.filter(pk__in=queryset.values("pk")))
            self.message_user(request, f"To be tried again: {number}.", messages.SUCCESS)
        return confirmation
