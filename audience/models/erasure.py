"""A player's right to be forgotten: the request while it runs, the receipt for ever after."""

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
from audience.database.sealing import seal, unseal
from audience.models.keys import Game


def keyed_hash(key: str, digest: str) -> str:
    """HMAC-SHA256 hex of a hash in hex, which is all that receipts kept before they were keyed."""
    return hmac.new(key.encode(), digest.encode(), hashlib.sha256).hexdigest()


class ReceiptKey(models.Model):
    """What a game's receipts are made with, so that who has the database cannot try out ids; made once, never changed.

    Sealed under CREDENTIAL_KEYS: without them no receipt of the game can be found or written any more.
    """

    game = models.OneToOneField(Game, on_delete=models.CASCADE, related_name="+")
    sealed = models.TextField(editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return f"receipt key of game {self.game_id}"


class ReceiptKeyLost(RuntimeError):
    """None of CREDENTIAL_KEYS opens the key of a game's receipts."""


def receipt_key(game_id: int) -> str | None:
    """The key of the game's receipts; None before the first one. ReceiptKeyLost."""
    sealed = ReceiptKey.objects.filter(game=game_id).values_list("sealed", flat=True).first()
    try:
        return None if sealed is None else str(unseal(sealed))
    except ValidationError as error:
        raise ReceiptKeyLost(
            "No key in CREDENTIAL_KEYS opens the key of the receipts: put the missing one back."
        ) from error


def get_or_create_receipt_key(game_id: int) -> str:
    """The same, made when there is none; of two that make one at once the first stays."""
    key = receipt_key(game_id)
    if key is None:
        row = ReceiptKey(game_id=game_id, sealed=seal(secrets.token_hex(32)))
        ReceiptKey.objects.bulk_create([row], ignore_conflicts=True)
        key = receipt_key(game_id)
    assert key is not None
    return key


def subject_hashes(game_id: int, values: Iterable[str], *, key: str | None = None) -> dict[str, str]:
    """What receipts keep of these ids, by id; with the game's key, where the caller has read it.

    Salted with the game, so that two games' receipts do not join.
    """
    key = key or get_or_create_receipt_key(game_id)
    plain = {value: hashlib.sha256(f"{game_id}:{value}".encode()).hexdigest() for value in values}
    return {value: keyed_hash(key, digest) for value, digest in plain.items()}


def subject_hash(game_id: int, value: str) -> str:
    """What a receipt keeps of one id."""
    return subject_hashes(game_id, [value])[value]


class ErasureState(models.TextChoices):
    PENDING = "pending", "Pending"
    DONE = "done", "Done"


class ErasureQuerySet(models.QuerySet["Erasure"]):
    def for_subject(self, game_id: int, value: str) -> "ErasureQuerySet":
        """The receipts of the game that name an id, as the subject or as one linked to it."""
        key = receipt_key(game_id)
        if key is None:
            return self.none()
        named = subject_hashes(game_id, [value], key=key)[value]
        return self.filter(game=game_id, linked_hashes__contains=[named])


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

    objects = ErasureQuerySet.as_manager()

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
