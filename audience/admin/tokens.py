"""Tokens of the management API."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from audience.accounts.tokens import revoke_token
from audience.admin.base import ReadOnly, confirmed_action
from audience.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly):
    """Tokens are created and rotated in the Hub, where they are shown once; here they are revoked."""

    list_display = ["name", "prefix", "user", "game", "role", "scopes", "last_used_at", "state"]
    list_filter = ["role", ("revoked_at", admin.EmptyFieldListFilter), ("user", admin.EmptyFieldListFilter), "game"]
    list_select_related = ["user", "game"]
    search_fields = ["name", "prefix", "user__email", "game__name"]
    readonly_fields = ["state"]
    exclude = ["digest", "expiry_recorded"]
    ordering = ["-created_at", "-pk"]
    actions = ["revoke"]

    @admin.display(description="State")
    def state(self, token: ApiToken) -> str:
        return str(token.state.label)

    @confirmed_action(
        "Revoke",
        permission="operate",
        title="Revoke these tokens?",
        warning="Every request with one of these tokens is refused from then on.",
    )
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for token in queryset.filter(revoked_at=None):
            revoke_token(token=token)
            self.log_change(request, token, "Revoked.")
        self.message_user(request, "The tokens were revoked.", messages.SUCCESS)
