"""Counts for charts, per minute and later per hour.

RequestCount and ConversionCount are views, created by the migration counts_by_the_minute: the union of the rows that
are rolled up and of those that are not yet (audience/storage/rollups.py). A sum over a view therefore always equals a
count of the counted rows. `starts_at` is the start of a minute, or of an hour once it is rolled up. Counts remain when
the counted rows are dropped by age.
"""

from django.db import models

from audience.models.games import Game
from audience.wording import dates


class RequestCount(models.Model):
    """Batches by key and minute of receipt; `key_id` is 0 for batches without a key."""

    pk = models.CompositePrimaryKey("game_id", "starts_at", "key_id")
    game_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    starts_at = models.DateTimeField()
    requests = models.IntegerField()
    accepted = models.IntegerField()
    duplicates = models.IntegerField()
    rejected = models.IntegerField()

    class Meta:
        managed = False
        db_table = "audience_requestcount"

    def __str__(self) -> str:
        return f"{self.requests} requests from {dates.moment(self.starts_at)}"


class ConversionCount(models.Model):
    """Conversions by minute of the event, network of the attributed click ('' without one) and currency.

    Test traffic, repeated launches and conversions of erased players are not counted. `number` is that of all
    conversions, `valued` that of conversions with a value, `value` the sum of the values.
    """

    pk = models.CompositePrimaryKey("game_id", "starts_at", "network", "currency")
    game_id = models.BigIntegerField()
    starts_at = models.DateTimeField()
    network = models.CharField(max_length=16)
    currency = models.CharField(max_length=3)
    number = models.IntegerField()
    valued = models.IntegerField()
    value = models.DecimalField(max_digits=38, decimal_places=6)

    class Meta:
        managed = False
        db_table = "audience_conversioncount"

    def __str__(self) -> str:
        return f"{self.number} conversions from {dates.moment(self.starts_at)}"


class ClickMacroCount(models.Model):
    """Events with a click parameter whose macro was not filled in, by the hour of receipt; written by the digest.

    `parameter` is a key of click_ids.CLICK_IDS, `value` what it states: "__CLICKID__".
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    starts_at = models.DateTimeField()
    parameter = models.CharField(max_length=32)
    value = models.CharField(max_length=64)
    number = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["game", "starts_at", "parameter", "value"], name="one_count_per_macro")
        ]

    def __str__(self) -> str:
        return f"{self.number} events with {self.parameter}={self.value}"


class PlaceholderCount(models.Model):
    """Events with a placeholder in place of an id, by the hour of receipt; a table written by the digest.

    `field` is one of message.ID_FIELDS or LINKED_ID, `value` the placeholder as sent.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    starts_at = models.DateTimeField()
    field = models.CharField(max_length=16)
    value = models.CharField(max_length=64)
    number = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["game", "starts_at", "field", "value"], name="one_count_per_placeholder")
        ]

    def __str__(self) -> str:
        return f"{self.number} events with the {self.field} {self.value}"
