"""Alerts, their receivers and messages, and server troubles."""

from django.contrib import admin

from audience.admin.base import ReadOnly, hub_page
from audience.admin.lists import values_filter
from audience.admin.newest_rows import NewestRows
from postbacks.models import Alert, AlertChoice, AlertHook, HookMessage, Notice, ServerTrouble
from postbacks.monitoring.alerts.hooks import host_of
from postbacks.monitoring.health.types import Health
from postbacks.monitoring.server.trouble import TroubleKind


@admin.register(Alert)
class AlertAdmin(ReadOnly):
    list_display = ["opened_at", "game", "config", "health", "cause", "recovered_at", "ending"]
    list_filter = [
        values_filter("health", "health", lambda: Health.values),
        *("ending", ("recovered_at", admin.EmptyFieldListFilter), "game"),
    ]
    list_select_related = ["game", "config"]
    newest = [NewestRows(by="opened_at", of="game")]
    search_fields = ["config__pixel_id", "game__name", "cause"]
    ordering = ["-opened_at"]
    view_on_site = hub_page("alerts")


@admin.register(AlertChoice)
class AlertChoiceAdmin(ReadOnly):
    """How members receive alerts, as they chose in the Hub."""

    list_display = ["user", "game", "told", "digest_sent_on"]
    list_filter = ["told", "game"]
    list_select_related = ["user", "game"]
    search_fields = ["user__email", "game__name"]
    ordering = ["pk"]


@admin.register(AlertHook)
class AlertHookAdmin(ReadOnly):
    """Shows the host only, since the path of a URL is often a secret."""

    list_display = ["host", "game", "enabled", "failures", "dropped", "created_by", "created_at"]
    list_filter = ["enabled", "game"]
    list_select_related = ["game", "created_by"]
    search_fields = ["game__name"]
    fields = (
        *("host", "game", "events", "enabled", "disabled_because", "failures", "paused_until", "last_result"),
        *("last_result_at", "dropped", "dropped_at", "created_by", "created_at"),
    )
    ordering = ["-created_at"]
    view_on_site = hub_page("alerts")

    @admin.display(description="Host")
    def host(self, hook: AlertHook) -> str:
        return host_of(hook.url)


@admin.register(HookMessage)
class HookMessageAdmin(ReadOnly):
    """Messages to webhooks about conversions and erasures; `row` is the delivery or the erasure."""

    list_display = ["created_at", "event", "game", "hook", "row", "state", "attempts_made", "result"]
    list_filter = ["event", "state"]
    list_select_related = ["game", "hook"]
    newest = [NewestRows(by="created_at")]
    ordering = ["-created_at"]
    view_on_site = hub_page("alerts")


@admin.register(Notice)
class NoticeAdmin(ReadOnly):
    list_display = ["created_at", "kind", "game", "user", "hook", "state", "attempts_made"]
    list_filter = ["kind", "state", "game"]
    list_select_related = ["game", "user", "hook"]
    newest = [NewestRows(by="created_at", of="game")]
    search_fields = ["user__email", "game__name"]
    ordering = ["-created_at"]
    view_on_site = hub_page("alerts")


@admin.register(ServerTrouble)
class ServerTroubleAdmin(ReadOnly):
    list_display = ["began_at", "title", "sentence", "seen_at", "ended_at", "begin_mailed_at", "end_mailed_at"]
    list_filter = [values_filter("kind", "kind", lambda: TroubleKind.values), ("ended_at", admin.EmptyFieldListFilter)]
    ordering = ["-began_at"]
