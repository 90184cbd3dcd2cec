"""What came in: Event (stored once), Batch (one request, the digest queue), Rejection (kept with its reasons)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q, Value

from audience.database import clock
from audience.models.keys import ApiKey, Dialect, Game


class Kind(models.TextChoices):
    """What a message says, whatever dialect said it."""

    TRACK = "track", "Track"
    IDENTIFY = "identify", "Identify"
    ALIAS = "alias", "Alias"
    PAGE = "page", "Page"
    SCREEN = "screen", "Screen"
    GROUP = "group", "Group"
    DEVICE = "device", "Device"


class EventQuerySet(models.QuerySet["Event"]):
    """Words for reading a game's events newest first, which is by id: a long walk over a short index."""

    def before(self, pk: int | None) -> "EventQuerySet":
        return self.filter(pk__lt=pk) if pk else self

    def scan_floor(self, *, limit: int) -> int:
        """The id below the newest `limit` events of these; 0 when there are no more. Reads the index alone."""
        return self.order_by("-pk").values_list("pk", flat=True)[limit : limit + 1].first() or 0


class Event(models.Model):
    """One message as we understood it, with the words it came in beside it.

    The table is partitioned by `day`, the UTC date of the client's own unmodified time
    (audience/intake/messages/times.py): a retry repeats that time, so the unique index (game, message_id, day) sees the
    copy (migration 0002). PostgreSQL wants the partition key in every unique index, hence the real primary key is (id,
    day); `id` alone comes from one sequence and is unique too. No foreign key points here, so that a partition can be
    dropped.
    """

    game_id = models.BigIntegerField()
    day = models.DateField()
    message_id = models.CharField(max_length=256)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=256, blank=True)
    user_id = models.TextField(blank=True)
    anonymous_id = models.TextField(blank=True)
    device_id = models.TextField(blank=True)
    session_id = models.TextField(blank=True)
    group_id = models.TextField(blank=True)
    # [[namespace, value], ...]: further identities this message joins to the ones above (alias, merge, typed ids).
    links = models.JSONField(default=list)
    event_at = models.DateTimeField(
        help_text="When it happened, corrected for the client's clock where the dialect can; never after received_at."
    )
    received_at = models.DateTimeField()
    key_id = models.BigIntegerField(null=True)
    dialect = models.CharField(max_length=12, choices=Dialect.choices)
    surface = models.CharField(max_length=16, blank=True)
    request_ip = models.CharField(
        max_length=45, blank=True, help_text="Whose connection it came over: a player's or a backend's."
    )
    origin = models.CharField(
        max_length=300, blank=True, db_default="", help_text="The web page that sent it, as its browser named it."
    )
    consent_level = models.CharField(max_length=10, blank=True)
    test = models.BooleanField(default=False)
    properties = models.JSONField(default=dict)
    traits = models.JSONField(default=dict)
    context = models.JSONField(default=dict)
    # {"All": false, "TikTok Ads": true}: where the sender lets this event go on to.
    integrations = models.JSONField(default=dict)
    raw = models.JSONField(default=dict, help_text="The message as it was sent.")

    objects = EventQuerySet.as_manager()

    class Meta:
        # Created by hand in migration 0002: Django cannot declare partitions.
        managed = False
        db_table = "audience_event"

    def __str__(self) -> str:
        return f"{self.kind} {self.name or self.message_id}"


class BatchState(models.TextChoices):
    PENDING = "pending", "Pending"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class BatchQuerySet(models.QuerySet["Batch"]):
    def due(self) -> "BatchQuerySet":
        """Waiting for a digest whose time has come, oldest first."""
        return self.filter(state=BatchState.PENDING, next_attempt_at__lte=clock.now()).order_by("id")


class Batch(models.Model):
    """One acknowledged request. While `pending` it is the work still to be digested.

    The table is partitioned by the week of `received_at` (audience/storage/partitions.py), so that old requests are not
    deleted row by row. As with Event the real primary key has the partition's column in it, and `id` alone comes from
    one sequence.

    The database checks no foreign key of what intake writes, of Rejection neither: a check locks the row it finds, and
    all requests of a key would meet at that key's row and its game's.
    """

    # No page asks for all batches of a game or of a key.
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    key = models.ForeignKey(
        ApiKey, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False, db_constraint=False
    )
    dialect = models.CharField(max_length=12, choices=Dialect.choices)
    received_at = models.DateTimeField()
    accepted = models.PositiveIntegerField(help_text="Messages newly stored.")
    duplicates = models.PositiveIntegerField(help_text="Messages acknowledged that were stored before.")
    rejected = models.PositiveIntegerField()
    event_ids = ArrayField(models.BigIntegerField(), help_text="The newly stored events.")
    first_day = models.DateField(null=True, help_text="Bounds of the events' days: which partitions to look in.")
    last_day = models.DateField(null=True)
    state = models.CharField(max_length=8, choices=BatchState.choices, default=BatchState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=clock.now)
    error = models.TextField(blank=True, help_text="Why the last attempt to digest it failed.")

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "batches"
        indexes = [
            # BatchQuerySet.due: the queue is the pending rows only, so its index stays as small as the queue.
            models.Index(fields=["next_attempt_at", "id"], condition=Q(state="pending"), name="batch_due"),
            # How many were set aside (metrics, admin).
            models.Index(fields=["id"], condition=Q(state="failed"), name="batch_set_aside"),
        ]

    def __str__(self) -> str:
        return f"batch {self.pk} ({self.accepted} new)"


class RejectionQuerySet(models.QuerySet["Rejection"]):
    """Words for the 10,000 at most that a game has: they are read through, no index names these."""

    def before(self, pk: int | None) -> "RejectionQuerySet":
        return self.filter(pk__lt=pk) if pk else self

    def containing(self, text: str) -> "RejectionQuerySet":
        """Those that say exactly this in one of their fields, whatever the field is called, or came by its route."""
        said = Func(
            F("raw"),
            Value({"text": text}, models.JSONField()),
            template="jsonb_path_exists(%(expressions)s)",
            arg_joiner=", '$.* ? (@ == $text)'::jsonpath, ",
            output_field=models.BooleanField(),
        )
        return self.filter(Q(route=text) | Q(said))


class Rejection(models.Model):
    """A message we did not take, with every reason. Kept 7 days and at most 10,000 a game
    (audience/storage/prune.py)."""

    # rejection_newest begins with the game, and nothing asks for the rejections of a key alone.
    game = models.ForeignKey(
        Game, on_delete=models.CASCADE, related_name="rejections", db_index=False, db_constraint=False
    )
    key = models.ForeignKey(
        ApiKey, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False, db_constraint=False
    )
    dialect = models.CharField(max_length=12, choices=Dialect.choices)
    received_at = models.DateTimeField()
    message_id = models.TextField(blank=True)
    # [{"field", "code", "message"}, ...]
    errors = models.JSONField()
    raw = models.JSONField(help_text="The message as it was sent, cut at 32 KB.")
    # What the message itself does not tell, so that it can be validated again (audience/intake/replay.py): the kind
    # its route gave it, "batch" when it names its own, and what its batch said for all: segment.Frame, in our words.
    route = models.CharField(max_length=16, blank=True, default="")
    frame = models.JSONField(blank=True, default=dict)
    # Who sent it, as of an Event: what its key's restrictions are judged by when it is validated again.
    origin = models.CharField(max_length=300, blank=True, db_default="")
    request_ip = models.CharField(max_length=45, blank=True, db_default="")
    # The ids it named, so that an erasure finds it.
    subjects = ArrayField(models.TextField(), default=list)

    objects = RejectionQuerySet.as_manager()

    class Meta:
        indexes = [
            # The newest rejections of a game, and pruning beyond the 10,000th.
            models.Index(fields=["game", "-id"], name="rejection_newest"),
            models.Index(fields=["received_at"], name="rejection_age"),
        ]

    def __str__(self) -> str:
        return f"rejected {self.message_id or 'message'}"
