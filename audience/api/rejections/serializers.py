"""Representations of rejected messages."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer
from audience.hub.toolkit.masking import masked
from audience.intake.messages.message import is_not_kept
from audience.intake.rejections import RevalidationStatus, revalidation_obstacle
from audience.models import Dialect, Rejection

VIOLATION = {"field": "event", "code": "MISSING_REQUIRED_FIELD", "message": "event is required for track"}
EXAMPLE: dict[str, Any] = {
    "id": 4711,
    "received_at": "2026-11-20T08:12:45.102Z",
    "message_id": "order-7001",
    "title": "track",
    "is_whole_request": False,
    "key_id": 12,
    "dialect": "rudderstack",
    "route": "batch",
    "origin": "",
    "errors": [VIOLATION],
    "subjects": ["player-42"],
}
DETAIL_EXAMPLE = {
    **EXAMPLE,
    "obstacle": "",
    "raw": {"type": "track", "properties": {"value": 9.99}},
    "frame": {},
}
REPLAYED_EXAMPLE = {
    "status": "refused",
    "message": "Still rejected. The reasons below follow the current rules.",
    "errors": [VIOLATION],
}


class ViolationSerializer(ReadSerializer):
    """One reason why a message was rejected. `field` has the client's name."""

    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class RejectionSerializer(ReadSerializer):
    """A rejected message. They are kept for 7 days, at most 10,000."""

    id = serializers.IntegerField()
    received_at = serializers.DateTimeField()
    message_id = serializers.CharField()
    title = serializers.CharField(help_text="The name of the event, or the type of the message; may be empty.")
    is_whole_request = serializers.BooleanField(help_text="Whether the request was rejected; its content is not kept.")
    key_id = serializers.IntegerField(allow_null=True)
    dialect = serializers.ChoiceField(Dialect.choices)
    route = serializers.CharField()
    origin = serializers.CharField()
    errors = ViolationSerializer(many=True)  # type: ignore[assignment]  # the name in answers to clients
    subjects = serializers.ListField(child=serializers.CharField(), help_text="The IDs of players in the message.")


class RejectionDetailSerializer(RejectionSerializer):
    """A rejected message with its content."""

    obstacle = serializers.CharField(help_text="Why it cannot be replayed; empty if it can.")
    raw = serializers.JSONField(help_text="The message as it was sent, cut at 32 KB.")
    frame = serializers.DictField(help_text="The fields of its batch that apply to all messages.")


class ReplayedRejectionSerializer(ReadSerializer):
    """The result of validating a message again. `errors` are the current violations of a refused one."""

    status = serializers.ChoiceField(
        [(status.value, status.value) for status in RevalidationStatus if status != RevalidationStatus.IMPOSSIBLE]
    )
    message = serializers.CharField()
    errors = ViolationSerializer(many=True)  # type: ignore[assignment]  # as above


def rejection_values(row: Any, *, addresses: bool) -> dict[str, Any]:
    """Return the values of a rejection of selection.with_titles. Email addresses are masked unless `addresses`."""
    return {
        **_values(row, addresses),
        "title": masked(row.title or "", addresses=addresses)[:256],
        "is_whole_request": bool(row.not_kept),
    }


def detail_values(row: Rejection, *, addresses: bool) -> dict[str, Any]:
    """Return the values of a rejection of selection.with_titles with its content."""
    return {
        **rejection_values(row, addresses=addresses),
        "is_whole_request": is_not_kept(row.raw),
        "obstacle": revalidation_obstacle(row),
        "raw": masked(row.raw, addresses=addresses),
        "frame": masked(row.frame, addresses=addresses),
    }


def violation_values(errors: list[dict[str, Any]], *, addresses: bool) -> list[dict[str, Any]]:
    fields = ("field", "code", "message")
    return [{name: masked(error.get(name, ""), addresses=addresses) for name in fields} for error in errors]


def _values(row: Rejection, addresses: bool) -> dict[str, Any]:
    return {
        "id": row.pk,
        "received_at": row.received_at,
        "message_id": masked(row.message_id, addresses=addresses),
        "key_id": row.key_id,
        "dialect": row.dialect,
        "route": row.route,
        "origin": row.origin,
        "errors": violation_values(row.errors, addresses=addresses),
        "subjects": [masked(value, addresses=addresses) for value in row.subjects if value != row.message_id],
    }
