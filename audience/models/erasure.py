"""Erasure requests. A finished request is kept as a receipt that identifies the player only by keyed hashes."""

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Iterable

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from audience.database import clock
from audience.database.encryption import decrypt, encrypt
from audience.models.games import AuditedInGame, Game


def keyed_hash(key: str, digest: str) -> str:
    """Return the HMAC-SHA256 (hex) of a SHA-256 (hex). Receipts of earlier versions contained the SHA-256 itself."""
    return hmac.new(key.encode(), digest.encode(), hashlib.sha256).hexdigest()


class ReceiptKey(models.Model):
    """The HMAC key of a game's receipts: without it a copy of the database cannot confirm a guessed id.

    Created once, never changed, encrypted with CREDENTIAL_KEYS. If those are lost, no receipt of the game can be found
    or written.
    """

    game = models.OneToOneField(Game, on_delete=models.CASCADE, related_name="+")
    sealed = models.TextField(editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return f"receipt key of game {self.game_id}"


class ReceiptKeyLost(RuntimeError):
    """None of CREDENTIAL_KEYS decrypts a game's ReceiptKey."""


def receipt_key(game_id: int) -> str | None:
    """Return the decrypted receipt key, or None if the game has none yet. Raises ReceiptKeyLost."""
    sealed = ReceiptKey.objects.filter(game=game_id).values_list("sealed", flat=True).first()
    try:
        return None if sealed is None else str(decrypt(sealed))
    except ValidationError as error:
        raise ReceiptKeyLost(
            "No key in CREDENTIAL_KEYS decrypts the key of the receipts. Add the missing key again."
        ) from error


def subject_hashes(game_id: int, values: Iterable[str], *, key: str | None = None) -> dict[str, str]:
    """Return {id: keyed hash} for these ids; `key` is the game's receipt key, by default read, and created if needed.

    The hash covers the game id, so that receipts of two games cannot be matched.
    """
    if key is None:
        ReceiptKey.objects.get_or_create(game_id=game_id, defaults={"sealed": encrypt(secrets.token_hex(32))})
        key = str(receipt_key(game_id))
    plain = {value: hashlib.sha256(f"{game_id}:{value}".encode()).hexdigest() for value in values}
    return {value: keyed_hash(key, digest) for value, digest in plain.items()}


def subject_hash(game_id: int, value: str) -> str:
    """Return the keyed hash of one id."""
    return subject_hashes(game_id, [value])[value]


class ErasureState(models.TextChoices):
    PENDING = "pending", "Pending"
    DONE = "done", "Done"


class ErasureQuerySet(models.QuerySet["Erasure"]):
    def for_subject(self, game_id: int, value: str) -> "ErasureQuerySet":
        """Return the game's receipts whose subject or linked ids include `value`. Raises ReceiptKeyLost."""
        key = receipt_key(game_id)
        if key is None:
            return self.none()
        hashed = subject_hashes(game_id, [value], key=key)[value]
        return self.filter(game=game_id, linked_hashes__contains=[hashed])


class Erasure(AuditedInGame, models.Model):
    """An erasure request and its receipt. `subject` is cleared when done; hashes, counts and times remain."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Without an index of its own: erasure_newest begins with the game.
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="erasures", db_index=False)
    namespace = models.CharField(max_length=64, help_text="Which ID was given: user or anonymous.")
    subject = models.TextField(blank=True, editable=False)
    subject_hash = models.CharField(max_length=64)
    # Keyed hashes of all linked identities. Events of these ids from before `requested_at` are never posted back.
    linked_hashes = ArrayField(models.CharField(max_length=64), default=list)
    state = models.CharField(max_length=8, choices=ErasureState.choices, default=ErasureState.PENDING)
    counts = models.JSONField(default=dict)
    requested_by = models.CharField(max_length=200, blank=True, help_text="The key or the user that requested it.")
    requested_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(default=clock.now)
    error = models.TextField(blank=True)
    suppress = models.BooleanField(
        default=False, db_default=False, help_text="Whether later events of the player's IDs are refused."
    )
    suppressed_messages = models.BigIntegerField(
        default=0, db_default=0, editable=False, help_text="How many messages were refused."
    )

    objects = ErasureQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(state="pending"), name="erasure_due"),
            models.Index(fields=["game", "-requested_at"], name="erasure_newest"),
            # digest/conversions.py: the erasures of an identity.
            GinIndex(fields=["linked_hashes"], name="erasure_hashes"),
        ]

    def __str__(self) -> str:
        return f"erasure {self.id} ({self.state})"

    @property
    def is_of_shared_id(self) -> bool:
        """Whether it erased an id of several players and kept their events."""
        return "events_kept" in self.counts


class Suppression(AuditedInGame, models.Model):
    """The ids of an erased player whose later events are refused (audience/privacy/suppression.py).

    `hashes` are keyed hashes of "user:<canonical id>" and "anonymous:<canonical id>".
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="suppressions", db_index=False)
    erasure = models.ForeignKey(Erasure, on_delete=models.CASCADE, related_name="suppressions", db_index=False)
    hashes = ArrayField(models.CharField(max_length=64), default=list, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    # When an id was added last. Processes refuse it some moments later.
    changed_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "erasure"], name="one_suppression_per_erasure")]
        indexes = [models.Index(fields=["game", "-created_at"], name="suppression_newest")]

    def __str__(self) -> str:
        return f"suppression of erasure {self.erasure_id}"


class SuppressionVersion(models.Model):
    """Increased with every change of a game's suppressions, so that processes read them again.

    Not a column of Game, whose rows are saved with values that were read before.
    """

    game = models.OneToOneField(
        Game, primary_key=True, on_delete=models.CASCADE, related_name="suppression_version", editable=False
    )
    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"version {self.number} of the suppressions of game {self.game_id}"
