"""What came in, added up by the minute and later by the hour: views and triggers of counts_by_the_minute.

A view adds the rows that are rolled up to the tail of those that are not yet (audience/storage/rollups.py), so that a
sum over it is what a count over the tables would say, at any moment. `starts_at` is the start of a minute, or of an
hour that is over for a while. Counts outlive the rows they count: those are dropped by age, these stay.
"""

from django.db import models


class RequestCount(models.Model):
    """Batches of a key by the minute they were received in; `key_id` 0 without one."""

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
        return f"{self.requests} requests from {self.starts_at:%Y-%m-%d %H:%M}"


class ConversionCount(models.Model):
    """Conversions by the minute of their event, the network of the click that won them ('' without one) and currency.

    Not test traffic, repeated launches and those of erased players. `valued` of the `number` carry a value; `value`
    is theirs added up.
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
        return f"{self.number} conversions from {self.starts_at:%Y-%m-%d %H:%M}"
