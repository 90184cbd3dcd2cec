"""Representations of erasures and suppressions."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.fields import PlayerIdField
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.models import Erasure, Suppression
from audience.models.people import ANONYMOUS, USER
from audience.privacy import receipts
from audience.privacy.receipts import ReceiptState

NAMESPACES = ((USER, "User ID"), (ANONYMOUS, "Anonymous ID"))
EXAMPLE: dict[str, Any] = {
    "id": "7d1c4b4e-0f0e-4a57-9d0b-5a2f1f6b8c3d",
    "namespace": "user",
    "subject_hash": "9f1c0a2b6d5e4f3a8b7c6d5e4f3a2b1c9f1c0a2b6d5e4f3a8b7c6d5e4f3a2b1c",
    "state": "done",
    "problem": "",
    "counts": {"postbacks_cancelled": 0, "conversions": 1, "events": 18, "identities": 2, "people": 1},
    "is_of_shared_id": False,
    "requested_by": "Token “Privacy tool”",
    "requested_at": "2026-11-20T08:12:44Z",
    "finished_at": "2026-11-20T08:12:47Z",
    "suppress": True,
    "suppressed_messages": 3,
    "suppression_id": "c0a1b2d3-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
}
PENDING_EXAMPLE = {
    **EXAMPLE,
    "state": "pending",
    "counts": {},
    "finished_at": None,
    "suppressed_messages": 0,
}
SUPPRESSION_EXAMPLE: dict[str, Any] = {
    "id": EXAMPLE["suppression_id"],
    "erasure_id": EXAMPLE["id"],
    "ids": 2,
    "suppressed_messages": 3,
    "created_at": "2026-11-20T08:12:44Z",
}


class ErasureSerializer(ReadSerializer):
    """An erasure and its receipt, which identifies the player only by a keyed hash."""

    id = serializers.UUIDField()
    namespace = serializers.ChoiceField(NAMESPACES)
    subject_hash = serializers.CharField()
    state = serializers.ChoiceField(
        ReceiptState.choices, help_text="`failed`: it failed too often, and is not tried again until it is retried."
    )
    problem = serializers.CharField(help_text="The error of the last attempt; empty without one.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="What was deleted, by kind.")
    is_of_shared_id = serializers.BooleanField(
        help_text="Whether the ID belonged to several players: it was erased, and their events were kept without it."
    )
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    suppress = serializers.BooleanField(help_text="Whether it was requested to refuse later events of the player.")
    suppressed_messages = serializers.IntegerField(help_text="How many messages were refused.")
    suppression_id = serializers.UUIDField(allow_null=True, help_text="Null without one, or once it was lifted.")


class NewErasureSerializer(StrictSerializer):
    """The player to erase."""

    namespace = serializers.ChoiceField(NAMESPACES)
    subject = PlayerIdField(help_text="The ID of the player. It is stored only until the erasure is done.")
    suppress = serializers.BooleanField(
        default=False,
        help_text="Refuse later events of the player's user and anonymous IDs, with the code `SUPPRESSED`. IDs that "
        "several players share are not refused.",
    )


class SuppressionSerializer(ReadSerializer):
    """The IDs of an erased player whose later events are refused, as their number only."""

    id = serializers.UUIDField()
    erasure_id = serializers.UUIDField()
    ids = serializers.IntegerField(help_text="How many IDs are refused.")
    suppressed_messages = serializers.IntegerField(help_text="How many messages were refused.")
    created_at = serializers.DateTimeField()


def erasure_values(erasure: Erasure) -> dict[str, Any]:
    """Return the values of an erasure of receipts.with_failures, which reads `suppressions`."""
    suppression = next(iter(erasure.suppressions.all()), None)
    fields = ("id", "namespace", "subject_hash", "counts", "is_of_shared_id", "requested_by", "requested_at")
    return {
        **{name: getattr(erasure, name) for name in fields},
        "state": receipts.state_of(erasure).value,
        "problem": receipts.problem_of(erasure),
        "finished_at": erasure.finished_at,
        "suppress": erasure.suppress,
        "suppressed_messages": erasure.suppressed_messages,
        "suppression_id": suppression.pk if suppression else None,
    }


def suppression_values(suppression: Suppression) -> dict[str, Any]:
    return {
        "id": suppression.pk,
        "erasure_id": suppression.erasure_id,
        "ids": len(suppression.hashes),
        "suppressed_messages": suppression.erasure.suppressed_messages,
        "created_at": suppression.created_at,
    }
