"""Tokens of the management API."""

from django.contrib import admin
from django.http import HttpRequest

from audience.accounts.tokens import TokenRefused, revoke_token
from audience.admin.base import ReadOnly
from audience.admin.operations import confirmed_action, for_each
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
    def revoke(self, request: HttpRequest, rows: list[ApiToken]) -> None:
        def revoke(token: ApiToken) -> str:
            if token.revoked_at:
                raise TokenRefused("The token was revoked already.")
            revoke_token(token=token)
            return "The token was revoked."

        for_each(self, request, rows, revoke, refusals=(TokenRefused,))
