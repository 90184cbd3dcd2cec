"""Alerts about the health of postbacks, who receives them, the messages to be sent, and server troubles."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from audience.database import clock
from audience.models import ApiKey, Game
from postbacks.models.configs import PostbackConfig
from postbacks.models.hooks import AlertHook


class AlertEnding(models.TextChoices):
    """How an alert ended."""

    RECOVERED = "recovered", "Recovered"
    DISABLED = "disabled", "Postback disabled"
    DELETED = "deleted", "Postback deleted"


class Alert(models.Model):
    """A period of bad health of one postback."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    config = models.ForeignKey(PostbackConfig, on_delete=models.CASCADE, related_name="alerts")
    # postbacks.monitoring.health.types.Health
    health = models.CharField(max_length=20)
    cause = models.TextField(blank=True)
    next_step = models.TextField(blank=True)
    opened_at = models.DateTimeField(default=clock.now)
    # When the health became good again; None while it is bad. Recovery takes a while (monitoring/alerts/watch.py).
    good_since = models.DateTimeField(null=True, blank=True)
    recovered_at = models.DateTimeField(null=True, blank=True)
    # Blank while the alert is open.
    ending = models.CharField(max_length=10, choices=AlertEnding.choices, blank=True)

    class Meta:
        constraints = [
            # Two concurrent checks open one alert.
            models.UniqueConstraint(fields=["config"], condition=Q(recovered_at=None), name="one_open_alert"),
        ]
        indexes = [models.Index(fields=["game", "-opened_at"], name="alert_newest")]

    def __str__(self) -> str:
        return f"{self.health} of {self.config_id}"


class AlertFrequency(models.TextChoices):
    """How a member receives alerts."""

    AT_ONCE = "at_once", "An email immediately"
    DAILY = "daily", "In a daily digest"
    BOTH = "both", "Immediately and in a daily digest"
    NEVER = "never", "No email"


class AlertChoice(models.Model):
    """A member's choice for one game; without a row, marketers and admins get an email at once."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    told = models.CharField(max_length=8, choices=AlertFrequency.choices, default=AlertFrequency.AT_ONCE)
    digest_sent_on = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "user"], name="one_alert_choice")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.game_id}: {self.told}"


class NoticeState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENT = "sent", "Sent"
    # Without a mail server a mail is written to the log.
    LOGGED = "logged", "Not emailed"
    FAILED = "failed", "Failed"


class NoticeKind(models.TextChoices):
    OPENED = "opened", "Alert"
    RECOVERED = "recovered", "Recovered"
    DIGEST = "digest", "Daily digest"
    TEST = "test", "Test"
    KEY_ENDS = "key_ends", "Key ends"


class Notice(models.Model):
    """A message to one receiver, an email address or a webhook. Retried like a delivery.

    Daily digests, tests of a webhook and reminders of a `key`'s expiry are not about a single alert.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    alert = models.ForeignKey(Alert, null=True, on_delete=models.CASCADE, related_name="notices", db_index=False)
    kind = models.CharField(max_length=10, choices=NoticeKind.choices)
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    hook = models.ForeignKey(AlertHook, null=True, on_delete=models.CASCADE, related_name="notices")
    state = models.CharField(max_length=8, choices=NoticeState.choices, default=NoticeState.WAITING)
    attempts_made = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=clock.now)
    leased_until = models.DateTimeField(null=True, blank=True)
    message = models.TextField(blank=True, help_text="The result of the last attempt.")
    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # Each receiver gets each message once.
            models.UniqueConstraint(fields=["alert", "kind", "user"], name="one_notice_per_user"),
            models.UniqueConstraint(fields=["alert", "kind", "hook"], name="one_notice_per_hook"),
        ]
        indexes = [
            # notices.claim: the messages that wait to be sent.
            models.Index(fields=["next_attempt_at"], condition=Q(state="waiting"), name="notice_due"),
            # The alerts page: the newest notices to the webhooks of a game.
            models.Index(fields=["game", "-created_at"], name="notice_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.user_id or self.hook_id}"

    @property
    def label(self) -> str:
        """The label of the kind; of a notice about the end of an alert, the label of that end."""
        alert = self.alert if self.kind == NoticeKind.RECOVERED else None
        return alert.get_ending_display() if alert and alert.ending else self.get_kind_display()


class ServerTrouble(models.Model):
    """One trouble of the server, from its beginning to its end (postbacks/monitoring/server/watch.py).

    It concerns every game, hence no `game_id`; rows of the last month are kept.
    """

    # A TroubleKind (postbacks/monitoring/server)
    kind = models.CharField(max_length=32)
    title = models.CharField(max_length=100)
    sentence = models.TextField()
    next_step = models.TextField()
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When it was last found.")
    ended_at = models.DateTimeField(null=True, blank=True)
    begin_mailed_at = models.DateTimeField(null=True, blank=True)
    end_mailed_at = models.DateTimeField(null=True, blank=True)
    # Moved forward by the process that sends a mail, so that no two processes send the same one.
    next_mail_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=Q(ended_at=None), name="one_open_trouble_of_a_kind")
        ]

    def __str__(self) -> str:
        return self.title
