"""Data from clients: Event (one per message), Batch (one per request; the digest queue), Rejection."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q, Value

from audience.database import clock
from audience.models.games import Game
from audience.models.keys import ApiKey, Dialect

# The key in an event's context for texts that were sent in place of ids: {"user_id": "undefined"}. A client's value of
# this key is dropped, and the key is never sent to a network.
PLACEHOLDER_NOTE = "_placeholder_ids"
# The same for click parameters whose macro was not filled in: {"ttclid": "__CLICKID__"}; written by the digest.
MACRO_NOTE = "_unfilled_macros"


class Kind(models.TextChoices):
    """The kinds of message, common to all dialects."""

    TRACK = "track", "Track"
    IDENTIFY = "identify", "Identify"
    ALIAS = "alias", "Alias"
    PAGE = "page", "Page"
    SCREEN = "screen", "Screen"
    GROUP = "group", "Group"
    DEVICE = "device", "Device"


class EventQuerySet(models.QuerySet["Event"]):
    """Queries of one game's events, newest first: in descending order of the id."""

    def before(self, pk: int | None) -> "EventQuerySet":
        return self.filter(pk__lt=pk) if pk else self

    def scan_floor(self, *, limit: int) -> int:
        """Return the id just below the newest `limit` events, or 0 if there are no more. An index-only scan."""
        return self.order_by("-pk").values_list("pk", flat=True)[limit : limit + 1].first() or 0


# Of clicks on tracking links.
LINK_SURFACE = "link"


class Event(models.Model):
    """One accepted message, parsed, with the original in `raw`.

    The table is partitioned by `day`, the UTC date of the client's own unmodified time
    (audience/intake/messages/times.py). A retry repeats that time, so the unique index (game_id, message_id, day)
    detects it. PostgreSQL requires the partition key in every unique index, hence the real primary key is (id, day);
    `id` comes from one sequence and is unique by itself. No foreign key references this table, so that a partition can
    be dropped.
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
    # [[namespace, value], ...]: further identities that this message joins to the ones above (alias, merge, typed ids).
    links = models.JSONField(default=list)
    event_at = models.DateTimeField(
        help_text="The time of the event, corrected for the client's clock if the dialect supports it; never after "
        "received_at."
    )
    received_at = models.DateTimeField()
    key_id = models.BigIntegerField(null=True)
    dialect = models.CharField(max_length=12, choices=Dialect.choices)
    surface = models.CharField(max_length=16, blank=True)
    request_ip = models.CharField(
        max_length=45, blank=True, help_text="Whose connection it was sent over: a player's or a backend's."
    )
    origin = models.CharField(
        max_length=300, blank=True, db_default="", help_text="The origin of the web page, as sent by the browser."
    )
    consent_level = models.CharField(max_length=10, blank=True)
    test = models.BooleanField(default=False)
    properties = models.JSONField(default=dict)
    traits = models.JSONField(default=dict)
    context = models.JSONField(default=dict)
    # {"All": false, "TikTok Ads": true}: the destinations that the sender allows for this event.
    integrations = models.JSONField(default=dict)
    raw = models.JSONField(default=dict, help_text="The message as it was sent.")

    objects = EventQuerySet.as_manager()

    class Meta:
        # Created by SQL in migration 0002: Django cannot declare partitions.
        managed = False
        db_table = "audience_event"

    def __str__(self) -> str:
        return f"{self.kind} {self.name or self.message_id}"

    @property
    def format_label(self) -> str:
        """In which format it was sent. Clicks of tracking links have no key and are in no format of a client."""
        is_link = self.key_id is None and self.surface == LINK_SURFACE
        return "Tracking link" if is_link else self.get_dialect_display()


class BatchState(models.TextChoices):
    PENDING = "pending", "Pending"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class BatchQuerySet(models.QuerySet["Batch"]):
    def due(self) -> "BatchQuerySet":
        """Pending batches whose next attempt is due, oldest first."""
        return self.filter(state=BatchState.PENDING, next_attempt_at__lte=clock.now()).order_by("id")


class Batch(models.Model):
    """One acknowledged request. Pending batches are the queue of the digest.

    The table is partitioned by the week of `received_at` (audience/storage/partitions.py), so that old requests are
    dropped, not deleted row by row. As with Event, the real primary key includes the partition column.

    Foreign keys of Batch and Rejection have no constraint in the database: its check locks the referenced row, and all
    requests with a key would contend for the rows of the key and its game.
    """

    # No query reads all batches of a game or of a key.
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    key = models.ForeignKey(
        ApiKey, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False, db_constraint=False
    )
    dialect = models.CharField(max_length=12, choices=Dialect.choices)
    received_at = models.DateTimeField()
    accepted = models.PositiveIntegerField(help_text="New messages stored.")
    duplicates = models.PositiveIntegerField(help_text="Messages acknowledged that were already stored.")
    rejected = models.PositiveIntegerField()
    event_ids = ArrayField(models.BigIntegerField(), help_text="The newly stored events.")
    first_day = models.DateField(null=True, help_text="First and last day of the events: which partitions to read.")
    last_day = models.DateField(null=True)
    state = models.CharField(max_length=8, choices=BatchState.choices, default=BatchState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=clock.now)
    error = models.TextField(blank=True, help_text="Why the last attempt to process it failed.")
    is_counted = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="Whether it was handed to the event catalog."
    )

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "batches"
        indexes = [
            # BatchQuerySet.due. Partial, so that the index stays as small as the queue.
            models.Index(fields=["next_attempt_at", "id"], condition=Q(state="pending"), name="batch_due"),
            # The number of batches set aside (metrics, admin).
            models.Index(fields=["id"], condition=Q(state="failed"), name="batch_set_aside"),
        ]

    def __str__(self) -> str:
        return f"batch {self.pk} ({self.accepted} new)"


class RejectionQuerySet(models.QuerySet["Rejection"]):
    """Filters without an index: a game has at most 10,000 rejections."""

    def before(self, pk: int | None) -> "RejectionQuerySet":
        return self.filter(pk__lt=pk) if pk else self

    def with_value(self, text: str) -> "RejectionQuerySet":
        """Rejections with this text as the whole value of any field of `raw`, or as their route."""
        in_raw = Func(
            F("raw"),
            Value({"text": text}, models.JSONField()),
            template="jsonb_path_exists(%(expressions)s)",
            arg_joiner=", '$.* ? (@ == $text)'::jsonpath, ",
            output_field=models.BooleanField(),
        )
        return self.filter(Q(route=text) | Q(in_raw))


class Rejection(models.Model):
    """A refused message with every reason. Kept for 7 days, at most 10,000 per game (audience/storage/prune.py)."""

    # No index of the game or key alone: rejection_newest begins with the game.
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
    # Used with `raw` to revalidate it (audience/intake/rejections.py): the message kind of the route ("batch" if the
    # message states its kind), and the fields of the batch envelope.
    route = models.CharField(max_length=16, blank=True, default="")
    frame = models.JSONField(blank=True, default=dict)
    # As in Event; used to check the key's restrictions when it is validated again.
    origin = models.CharField(max_length=300, blank=True, db_default="")
    request_ip = models.CharField(max_length=45, blank=True, db_default="")
    # The player ids in it, for erasures.
    subjects = ArrayField(models.TextField(), default=list)

    objects = RejectionQuerySet.as_manager()

    class Meta:
        indexes = [
            # Listing the rejections of a game, and pruning all but the newest 10,000.
            models.Index(fields=["game", "-id"], name="rejection_newest"),
            models.Index(fields=["received_at"], name="rejection_age"),
        ]

    def __str__(self) -> str:
        return f"rejected {self.message_id or 'message'}"
