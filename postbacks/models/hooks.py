"""Webhooks: URLs of the studio, what they are subscribed to, and their messages about conversions and erasures."""

import uuid
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value

from audience.database import clock
from audience.models import AuditedInGame, Game
from postbacks.models.fields import EncryptedJSONField


class HookEvent(models.TextChoices):
    """What a webhook can be subscribed to, and the `type` of its messages.

    Of a delivery, each event is a state or confirmation that it has just got (postbacks/outbox/hook_messages.py).
    """

    ALERT_OPENED = "alert.opened", "Alert opened"
    ALERT_RECOVERED = "alert.recovered", "Alert ended"
    CONVERSION_DELIVERED = "conversion.delivered", "Conversion delivered"
    CONVERSION_CONFIRMED = "conversion.confirmed", "Conversion confirmed"
    CONVERSION_FAILED = "conversion.failed", "Conversion failed"
    CONVERSION_NOT_SENT = "conversion.not_sent", "Conversion not sent"
    ERASURE_COMPLETED = "erasure.completed", "Erasure completed"
    ERASURE_FAILED = "erasure.failed", "Erasure failed"


EVENTS_FIELD: "ArrayField[list[str], list[str]]" = ArrayField(models.CharField(max_length=32))
ALERT_EVENTS = [HookEvent.ALERT_OPENED.value, HookEvent.ALERT_RECOVERED.value]


def alert_events() -> list[str]:
    """Return the events of a webhook unless others are chosen."""
    return list(ALERT_EVENTS)


class AlertHook(AuditedInGame, models.Model):
    """A URL of the studio that receives signed messages about the events it is subscribed to."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="alert_hooks", db_index=False)
    url = models.URLField(max_length=500)
    events = ArrayField(
        models.CharField(max_length=32), default=alert_events, db_default=Value(ALERT_EVENTS, EVENTS_FIELD)
    )
    # {"key": "whsec_..."}: the secret of the signatures, shown once.
    secret = EncryptedJSONField(default=dict, editable=False)
    # {end (ISO 8601): secret} of rotated secrets that sign beside it until then.
    previous_secrets = EncryptedJSONField(default=dict, db_default=Value("", models.TextField()), editable=False)
    enabled = models.BooleanField(default=True)
    disabled_because = models.CharField(
        max_length=200, blank=True, db_default="", help_text="Why Afterclick disabled it; empty if a member did."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    # Of its messages about conversions and erasures. The rate: when the next call may start.
    next_call_at = models.DateTimeField(null=True, blank=True)
    # Calls in a row without a 2xx, and until when no other is made.
    failures = models.PositiveIntegerField(default=0, db_default=0)
    paused_until = models.DateTimeField(null=True, blank=True)
    last_result = models.CharField(max_length=200, blank=True, db_default="")
    last_result_at = models.DateTimeField(null=True, blank=True)
    dropped = models.PositiveBigIntegerField(default=0, db_default=0, help_text="Messages that were never received.")
    dropped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "url"], name="one_hook_per_url")]

    def __str__(self) -> str:
        # The host only: the path may be a secret, and the audit log stores this text.
        return urlsplit(self.url).hostname or "webhook"

    @property
    def event_labels(self) -> list[str]:
        return [event.label for event in HookEvent if event in self.events]


class MessageState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENT = "sent", "Sent"
    DROPPED = "dropped", "Dropped"


class HookMessage(models.Model):
    """A message to a webhook about a conversion on one postback, or an erasure. Its id is the same on every attempt.

    It has no data of a player: the body is read from `row`, a delivery or an erasure, when it is sent. Its foreign keys
    have no database constraint, since a webhook may be deleted while a delivery of its game ends. Messages to a deleted
    webhook are pruned by their age.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    hook = models.ForeignKey(
        AlertHook, on_delete=models.DO_NOTHING, related_name="messages", db_index=False, db_constraint=False
    )
    event = models.CharField(max_length=32, choices=HookEvent.choices)
    row = models.UUIDField(help_text="The id of the delivery or of the erasure.")
    # What of the row was so when it ended: a delivery's state, reason, ...
    ended_as = models.JSONField(default=dict)
    state = models.CharField(max_length=8, choices=MessageState.choices, default=MessageState.WAITING)
    attempts_made = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=clock.now)
    leased_until = models.DateTimeField(null=True, blank=True)
    result = models.CharField(max_length=200, blank=True, help_text="The result of the last attempt.")
    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # hook_claims.claim: the messages of a webhook that wait to be sent.
            models.Index(fields=["hook", "next_attempt_at"], condition=Q(state="waiting"), name="hook_message_due"),
            # delivery/prune.py: those that ended long ago.
            models.Index(fields=["finished_at"], condition=~Q(finished_at=None), name="hook_message_ended"),
            # The admin; delivery/prune.py: messages to deleted webhooks.
            models.Index(fields=["-created_at"], name="hook_message_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.hook_id}"
