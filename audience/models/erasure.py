"""A player's right to be forgotten: the request while it runs, the receipt for ever after."""

import hashlib
import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from audience import clock
from audience.models.keys import Game


def subject_hash(game_id: int, value: str) -> str:
    """What a receipt keeps of an id: SHA-256 hex, salted with the game so that two games' receipts do not join."""
    return hashlib.sha256(f"{game_id}:{value}".encode()).hexdigest()


class ErasureState(models.TextChoices):
    PENDING = "pending", "Pending"
    DONE = "done", "Done"


class Erasure(models.Model):
    """`subject` is cleared when the work is done; what remains is hashes, counts and times."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="erasures")
    namespace = models.CharField(max_length=64, help_text="Which id was named: user or anonymous.")
    subject = models.TextField(blank=True, editable=False)
    subject_hash = models.CharField(max_length=64)
    # Hashes of every linked identity: a postback for what these ids did before `requested_at` never goes out.
    linked_hashes = ArrayField(models.CharField(max_length=64), default=list)
    state = models.CharField(max_length=8, choices=ErasureState.choices, default=ErasureState.PENDING)
    counts = models.JSONField(default=dict)
    requested_by = models.CharField(max_length=200, blank=True, help_text="The key or the user that asked.")
    requested_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(default=clock.now)
    error = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(state="pending"), name="erasure_due"),
            # Digest: was any of these identities erased?
            GinIndex(fields=["linked_hashes"], name="erasure_hashes"),
        ]

    def __str__(self) -> str:
        return f"erasure {self.id} ({self.state})"

    def get_additional_data(self) -> dict[str, int]:
        """What the audit log finds the entries of one game by."""
        return {"game": self.game_id}
