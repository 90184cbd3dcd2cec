from django.contrib import admin

from consent.models import ConsentDecision


@admin.register(ConsentDecision)
class ConsentDecisionAdmin(admin.ModelAdmin[ConsentDecision]):
    """Decisions are a record: read here, written by the API only."""

    list_display = ["anonymous_id", "level", "source", "decided_at", "game_id"]
    list_filter = ["level"]
    search_fields = ["anonymous_id"]
    show_full_result_count = False

    def has_add_permission(self, request: object) -> bool:
        return False

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        return False
