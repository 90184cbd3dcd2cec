"""The admin classes of libraries and of `consent`, with DeclaredFilters."""

from typing import Any

from allauth.account.admin import EmailAddress
from auditlog.admin import LogEntryAdmin
from auditlog.models import LogEntry
from auditlog.registry import auditlog
from axes.admin import AccessAttemptAdmin, AccessFailureLogAdmin, AccessLogAdmin, IsLockedOutFilter
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest

from audience.admin.base import DeclaredFilters, ReadOnly
from audience.admin.lists import GameFilter
from consent.models import ConsentDecision

# Importing the modules above registered these. EmailAddress is not used (audience/accounts/addresses.py).
admin.site.unregister([AccessAttempt, AccessFailureLog, AccessLog, EmailAddress, LogEntry])


class FromOneAddress:
    """Searched by the whole user name or IP address, which have an index."""

    search_fields = ["username__exact", "ip_address__exact"]
    search_help_text = "A full email address or IP address."
    is_search_indexed = True
    date_hierarchy = None
    ordering = ["-pk"]


@admin.register(AccessAttempt)
class AttemptAdmin(FromOneAddress, DeclaredFilters, AccessAttemptAdmin):  # type: ignore[misc]  # axes ships no types
    """Without the submitted data, whose `next` may be the link of an invitation."""

    list_filter = ["attempt_time", IsLockedOutFilter]
    fieldsets = [
        (None, {"fields": ("username", "path_info", "failures_since_start")}),
        ("Browser", {"fields": ("user_agent", "ip_address", "http_accept")}),
    ]
    readonly_fields = [
        *("username", "path_info", "attempt_time", "failures_since_start"),
        *("user_agent", "ip_address", "http_accept"),
    ]


@admin.register(AccessLog)
class SignInAdmin(FromOneAddress, DeclaredFilters, AccessLogAdmin):  # type: ignore[misc]  # axes ships no types
    list_filter = ["attempt_time", "logout_time"]


@admin.register(AccessFailureLog)
class FailureAdmin(FromOneAddress, DeclaredFilters, AccessFailureLogAdmin):  # type: ignore[misc]  # axes ships no types
    list_filter = ["attempt_time", "locked_out"]


class SubjectFilter(admin.SimpleListFilter):
    """The kinds of rows that the audit log is about."""

    title = "subject"
    parameter_name = "resource_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        kinds = ContentType.objects.get_for_models(*auditlog.get_models()).items()
        return sorted(((kind.pk, str(model._meta.verbose_name)) for model, kind in kinds), key=lambda pair: pair[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value and not value.isdecimal():
            raise IncorrectLookupParameters
        return queryset.filter(content_type_id=value) if value else queryset


@admin.register(LogEntry)
class AuditEntryAdmin(DeclaredFilters, LogEntryAdmin):  # type: ignore[misc]  # auditlog ships no types
    """All entries of the installation. The entries of a game are on its Audit log page too."""

    list_display = ["created", "who", "remote_addr", "action", "resource_url", "msg_short"]
    fieldsets = [
        (None, {"fields": ["created", "who", "remote_addr", "resource_url"]}),
        ("Changes", {"fields": ["action", "msg"]}),
    ]
    readonly_fields = ["created", "who", "remote_addr", "resource_url", "action", "msg"]
    list_filter = ["action", SubjectFilter]
    search_fields = ["object_pk__exact", "actor__email__exact"]
    search_help_text = "The full ID of the changed row, or the email address of the account that changed it."
    is_search_indexed = True
    date_hierarchy = None
    ordering = ["-pk"]
    list_per_page = 50

    @admin.display(description="By")
    def who(self, entry: Any) -> str:
        """Return the account, else the shell command or email address that the entry names."""
        if entry.actor:
            return str(entry.actor.email or entry.actor.get_username())
        return str(entry.actor_email or "Afterclick")


@admin.register(ConsentDecision)
class DecisionAdmin(ReadOnly):
    list_display = ["anonymous_id", "level", "source", "decided_at", "game_id"]
    list_filter = ["level", GameFilter]
    search_fields = ["anonymous_id__exact"]
    search_help_text = "A full anonymous ID."
    is_search_indexed = True
    ordering = ["-pk"]
