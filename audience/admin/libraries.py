"""The admin classes of libraries and of `consent`, with DeclaredFilters."""

from typing import Any

from allauth.account.admin import EmailAddress
from auditlog.admin import LogEntryAdmin
from auditlog.models import LogEntry
from axes.admin import AccessAttemptAdmin, AccessFailureLogAdmin, AccessLogAdmin
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin

from audience.admin.base import DeclaredFilters, ReadOnly
from consent.models import ConsentDecision

# Importing the modules above registered these. EmailAddress is not used (audience/accounts/addresses.py).
admin.site.unregister([AccessAttempt, AccessFailureLog, AccessLog, EmailAddress, LogEntry])


@admin.register(AccessAttempt)
class AttemptAdmin(DeclaredFilters, AccessAttemptAdmin):  # type: ignore[misc]  # axes ships no types
    """Without the submitted data, whose `next` may be the link of an invitation."""

    fieldsets = [
        (None, {"fields": ("username", "path_info", "failures_since_start")}),
        ("Browser", {"fields": ("user_agent", "ip_address", "http_accept")}),
    ]
    readonly_fields = [
        *("username", "path_info", "attempt_time", "failures_since_start"),
        *("user_agent", "ip_address", "http_accept"),
    ]


@admin.register(AccessLog)
class SignInAdmin(DeclaredFilters, AccessLogAdmin):  # type: ignore[misc]  # axes ships no types
    pass


@admin.register(AccessFailureLog)
class FailureAdmin(DeclaredFilters, AccessFailureLogAdmin):  # type: ignore[misc]  # axes ships no types
    pass


@admin.register(LogEntry)
class AuditEntryAdmin(DeclaredFilters, LogEntryAdmin):  # type: ignore[misc]  # auditlog ships no types
    """All entries of the installation. The entries of a game are on its Audit log page too."""

    list_display = ["created", "who", "remote_addr", "action", "resource_url", "msg_short"]
    fieldsets = [
        (None, {"fields": ["created", "who", "remote_addr", "resource_url"]}),
        ("Changes", {"fields": ["action", "msg"]}),
    ]
    readonly_fields = ["created", "who", "remote_addr", "resource_url", "action", "msg"]
    list_per_page = 50
    show_full_result_count = False

    @admin.display(description="By")
    def who(self, entry: Any) -> str:
        """Return the account, else the shell command or email address that the entry names."""
        if entry.actor:
            return str(entry.actor.email or entry.actor.get_username())
        return str(entry.actor_email or "Afterclick")


@admin.register(ConsentDecision)
class DecisionAdmin(ReadOnly):
    list_display = ["anonymous_id", "level", "source", "decided_at", "game_id"]
    list_filter = ["level"]
    search_fields = ["anonymous_id"]
