"""Deliveries, one per conversion and postback, with their counts, and the limiter of each pixel."""

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from audience.database import clock
from audience.models import Conversion, Game, Reason, trigger_label
from postbacks.models.configs import PostbackConfig
from postbacks.models.replays import Replay


class DeliveryState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    HELD = "held", "On hold"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Not sent"
    CANCELLED = "cancelled", "Canceled"


class Confirmation(models.TextChoices):
    """Whether a network that acknowledges events first has counted the event; blank where its answer is final."""

    AWAITED = "awaited", "Not confirmed yet"
    CONFIRMED = "confirmed", "Confirmed"
    REFUSED = "refused", "Refused later"
    UNKNOWN = "unknown", "Not confirmed in time"
    UNMATCHED = "unmatched", "Unmatched: the network does not know this click"
    AGAIN = "again", "To be sent again"


# States of deliveries that ended before the network accepted or refused them.
UNSENT_STATES = (DeliveryState.SKIPPED, DeliveryState.CANCELLED)
MIN_PAUSE = timedelta(seconds=3)  # of a pixel: a shorter one is not shown
# Unsent deliveries of which a call ended without an answer, and no later call had one.
OUTCOME_UNKNOWN = Q(may_have_arrived=True, state__in=UNSENT_STATES)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self, now: datetime | None = None) -> "DeliveryQuerySet":
        """Waiting deliveries at or past their time without a lease, or with the expired lease of a dead worker."""
        now = now or clock.now()
        return (
            self.filter(state=DeliveryState.WAITING, next_attempt_at__lte=now)
            .filter(Q(leased_until=None) | Q(leased_until__lt=now))
            .order_by("next_attempt_at")
        )


class Delivery(models.Model):
    """One conversion to be sent to one postback or, if `skipped`, the recorded reason why it is not sent.

    No attempt starts after either deadline: `dead_after`, when the event is too old for the network, and `safe_until`,
    when the network may have forgotten the first attempt and would count a repeat.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No index of their own: each of these three columns begins an index or the constraint below.
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    # None once the player was erased.
    conversion = models.ForeignKey(
        Conversion, null=True, on_delete=models.SET_NULL, related_name="deliveries", db_index=False
    )
    config = models.ForeignKey(PostbackConfig, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    network = models.CharField(max_length=16)
    trigger = models.CharField(max_length=256)
    # The network's event name that the goal sets; blank for the usual one.
    sent_as = models.CharField(max_length=64, blank=True)
    # The network's object that the goal reports to (Network.object_id).
    object_id = models.CharField(max_length=64, blank=True, db_default="")
    event_id = models.CharField(max_length=128, help_text="How the network detects duplicates: equal on every retry.")
    event_at = models.DateTimeField()
    config_version = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    reason = models.CharField(max_length=16, choices=Reason.choices, blank=True)
    # postbacks.networks.interface.call.Verdict of the last answer, blank before it.
    verdict = models.CharField(max_length=12, blank=True)
    attempts_made = models.PositiveSmallIntegerField(default=0)
    # Attempts counted by the retry schedule, without those refused for the credential.
    attempts_counted = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True, help_text="The network accepts no event before this time.")
    asked_until = models.DateTimeField(
        null=True, blank=True, help_text="The wait that the network requested, which may be longer than the pause."
    )
    leased_until = models.DateTimeField(null=True, blank=True)
    first_attempt_at = models.DateTimeField(null=True, blank=True)
    safe_until = models.DateTimeField(null=True, blank=True)
    # Written with every answer, so that pages need not read the attempts.
    may_have_arrived = models.BooleanField(
        default=False,
        help_text="A call ended without an answer (closed connection, timeout): the network may have received it.",
    )
    confirmation = models.CharField(max_length=9, choices=Confirmation.choices, blank=True, db_default="")
    # When to query the network; None unless the confirmation is awaited.
    confirm_after = models.DateTimeField(null=True, blank=True)
    dead_after = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    replay = models.ForeignKey(
        Replay, null=True, blank=True, on_delete=models.SET_NULL, related_name="deliveries", db_index=False
    )
    created_at = models.DateTimeField(default=clock.now)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["conversion", "config"], name="one_delivery_per_conversion_and_config"),
        ]
        indexes = [
            # claims.claim: the send queue of a config, oldest first.
            models.Index(fields=["config", "next_attempt_at"], condition=Q(state="waiting"), name="delivery_due"),
            # hold.release: deliveries that wait for a valid credential.
            models.Index(fields=["config", "event_at"], condition=Q(state="held"), name="delivery_held"),
            # replays: deliveries that failed in a period.
            models.Index(fields=["config", "finished_at"], condition=Q(state="failed"), name="delivery_failed"),
            # counting.count: the newest deliveries of a config.
            models.Index(fields=["config", "-created_at"], name="delivery_newest"),
            # confirming: the deliveries whose confirmation is awaited.
            models.Index(
                fields=["config", "confirm_after"], condition=~Q(confirm_after=None), name="delivery_to_confirm"
            ),
            # replays: the deliveries of one replay.
            models.Index(fields=["replay"], condition=~Q(replay=None), name="delivery_of_replay"),
            # The Conversions page and the audit, by the day of the event.
            models.Index(fields=["game", "-event_at"], name="delivery_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.network} {self.trigger} {self.event_id}"

    @property
    def deadline(self) -> datetime:
        """The time after which no attempt starts."""
        return min(self.dead_after, self.safe_until) if self.safe_until else self.dead_after

    @property
    def trigger_label(self) -> str:
        return trigger_label(self.trigger)

    @property
    def known_confirmation(self) -> str:
        """The confirmation; of a delivery that was to be sent again and was not, that the network refused it."""
        is_over = self.confirmation == Confirmation.AGAIN and self.state not in (
            DeliveryState.WAITING,
            DeliveryState.HELD,
        )
        return Confirmation.REFUSED.value if is_over else self.confirmation

    @property
    def confirmation_label(self) -> str:
        return Confirmation(self.known_confirmation).label if self.confirmation else ""

    @property
    def is_unmatched(self) -> bool:
        """Whether the network knows no such click, which is final."""
        return self.confirmation == Confirmation.UNMATCHED

    @property
    def is_unknown(self) -> bool:
        """Whether it ended without an acceptance, but may have arrived."""
        return self.may_have_arrived and self.state in (*UNSENT_STATES, DeliveryState.FAILED)


class Flow(models.Model):
    """One row per pixel, shared by all workers and games: the rate limiter and the circuit breaker.

    In PostgreSQL and not in the broker, so that flushing the broker resets no limit.
    """

    network = models.CharField(max_length=16)
    pixel_id = models.CharField(max_length=64)
    # The limiter: the earliest start of the next call (postbacks/delivery/pace.py).
    next_slot_at = models.DateTimeField(null=True, blank=True)
    # The breaker (postbacks/delivery/breaker.py): consecutive transient failures, and until when no call is made.
    failures = models.PositiveIntegerField(default=0)
    open_until = models.DateTimeField(null=True, blank=True)
    probing = models.BooleanField(default=False, help_text="A call checks whether the network is available again.")
    # When the network last answered 429, and until when it asked to wait: `next_slot_at` may be earlier.
    limited_at = models.DateTimeField(null=True, blank=True)
    asked_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["network", "pixel_id"], name="one_flow_per_pixel")]

    def __str__(self) -> str:
        return f"flow of {self.network} {self.pixel_id}"

    def pause_end(self, now: datetime) -> datetime | None:
        """The end of a pause, by the breaker or at the network's request; None without one.

        The slots that the limiter reserves ahead are no pause.
        """
        is_limited = self.limited_at and self.next_slot_at and self.next_slot_at > now + MIN_PAUSE
        ends = [self.open_until, self.next_slot_at if is_limited else None]
        return max((end for end in ends if end is not None and end > now), default=None)
