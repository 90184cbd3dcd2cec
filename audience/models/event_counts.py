"""What a game sends, counted after the digest (audience/digest/event_counts.py): names and types, never values.

`day` is the UTC day of the receipt. `kind` is a Kind, and `name` the name of a track event, '' for other kinds; events
beyond the limits (audience/digest/count_limits.py) have the kind OTHER_KIND. `test` are messages of a sandbox key or
marked as a test.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from audience.models.games import Game

OTHER_KIND = "other"
# In place of the library of further SDKs, and of the path of further properties.
OTHER_LIBRARY = "(other)"
OTHER_PATH = ""
# The type of null and "".
EMPTY = "empty"
MAX_LIBRARY = 64
# That of the property of a goal's condition (postbacks/outbox/conditions.py).
MAX_PATH = 100


class UncountedBatches(models.Model):
    """Digested batches whose events are not counted yet: one row per run of the digest, deleted when it is counted."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    batch_ids = ArrayField(models.BigIntegerField())

    class Meta:
        verbose_name_plural = "uncounted batches"
        # Reading the rows of a game in their order.
        indexes = [models.Index(fields=["game", "id"], name="uncounted_by_game")]

    def __str__(self) -> str:
        return f"{len(self.batch_ids)} batches"


class EventCount(models.Model):
    """Events of one name. `last_at` is the receipt of the last one."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    test = models.BooleanField()
    kind = models.CharField(max_length=8)
    name = models.CharField(max_length=256)
    number = models.BigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["game", "day", "test", "kind", "name"], name="one_count_per_event")
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name or self.kind} on {self.day}"


class SenderCount(models.Model):
    """Events of one name by their key and SDK. `key_id` is 0 without a key, `library` '' if the client states none."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    test = models.BooleanField()
    kind = models.CharField(max_length=8)
    name = models.CharField(max_length=256)
    key_id = models.BigIntegerField()
    library = models.CharField(max_length=MAX_LIBRARY)
    library_version = models.CharField(max_length=MAX_LIBRARY)
    number = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["game", "day", "test", "kind", "name", "key_id", "library", "library_version"],
                name="one_count_per_sender",
            )
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name or self.kind} of {self.library} {self.library_version}"


class PropertyCount(models.Model):
    """Events of one name with a property of one type: a PropertyType except ANY, or EMPTY for null and "".

    `path` is the name of the property, `cart.total` for one in an object. OTHER_PATH with the type '' counts
    properties, or whole events, that are not counted by themselves.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    test = models.BooleanField()
    kind = models.CharField(max_length=8)
    name = models.CharField(max_length=256)
    path = models.CharField(max_length=MAX_PATH)
    type = models.CharField(max_length=8)
    number = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["game", "day", "test", "kind", "name", "path", "type"], name="one_count_per_property"
            )
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name or self.kind} with {self.path}"


class ValueProblemCount(models.Model):
    """Conversion events without an amount that can be summed and sent.

    `problem` is a ValueProblem, or NO_AMOUNT for a purchase that states none.
    """

    NO_AMOUNT = "no_amount"

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    test = models.BooleanField()
    name = models.CharField(max_length=256)
    problem = models.CharField(max_length=16)
    number = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["game", "day", "test", "name", "problem"], name="one_count_per_problem")
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name} with {self.problem}"
