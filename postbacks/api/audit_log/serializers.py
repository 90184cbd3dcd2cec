"""Representations of entries of the audit log."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer
from postbacks.api.audit_log.filters import ACTIONS
from postbacks.hub.audit_log.entries import audit_row

EXAMPLE = {
    "id": 1204,
    "recorded_at": "2026-11-21T10:00:00Z",
    "actor": {"id": "7", "name": "ada@studio.example", "token": "Laptop"},
    "address": "192.0.2.7",
    "kind": "apikey",
    "action": "update",
    "subject": {"id": "12", "name": "Payment backend (sk_imapik-server-1f3c9a2…)"},
    "changes": [{"field": "revoked_at", "before": None, "after": "2026-11-21T10:00:00Z"}],
}


class ActorSerializer(ReadSerializer):
    id = serializers.CharField(help_text="For the filter `actor`.")
    name = serializers.CharField(help_text="Email address, `Token “<name>”`, or `Afterclick` for the product itself.")
    token = serializers.CharField(help_text="The name of the member's token that was used; empty in the browser.")


class SubjectSerializer(ReadSerializer):
    id = serializers.CharField()
    name = serializers.CharField()


class FieldChangeSerializer(ReadSerializer):
    """Values are text: times in ISO 8601, `True` or `False`. Secrets are never recorded."""

    field = serializers.CharField()
    before = serializers.CharField(allow_null=True)
    after = serializers.CharField(allow_null=True)


class AuditEntrySerializer(ReadSerializer):
    """A change of a game, or an export of a player's data."""

    id = serializers.IntegerField()
    recorded_at = serializers.DateTimeField()
    actor = ActorSerializer()
    address = serializers.CharField(allow_null=True, help_text="The IP address; null for changes in the background.")
    kind = serializers.CharField(help_text="What was changed, such as `apikey` or `postbackconfig`.")
    action = serializers.ChoiceField([(name, name) for name in ACTIONS], help_text="`access`: an export.")
    subject = SubjectSerializer()
    changes = FieldChangeSerializer(many=True)

    def to_representation(self, entry: Any) -> dict[str, Any]:
        row = audit_row(entry)
        changes = [(change.field, *change.stored) for change in row.changes]
        return {
            "id": row.pk,
            "recorded_at": serializers.DateTimeField().to_representation(row.recorded_at),
            "actor": {"id": row.actor_id, "name": row.actor, "token": row.token},
            "address": row.address or None,
            "kind": entry.content_type.model,
            "action": next(name for name, value in ACTIONS.items() if value == entry.action),
            "subject": {"id": entry.object_pk, "name": row.name},
            "changes": [
                {"field": field, "before": before or None, "after": after or None} for field, before, after in changes
            ],
        }
