"""Deliveries and attempts added up by the minute and later by the hour, as audience/models/counts.py has it."""

from django.db import models


class DeliveryCount(models.Model):
    """Deliveries by the minute they were made in and the state they are in now."""

    pk = models.CompositePrimaryKey("config_id", "starts_at", "state")
    config_id = models.UUIDField()
    starts_at = models.DateTimeField()
    state = models.CharField(max_length=10)
    number = models.IntegerField()

    class Meta:
        managed = False
        db_table = "postbacks_deliverycount"

    def __str__(self) -> str:
        return f"{self.number} {self.state} from {self.starts_at:%Y-%m-%d %H:%M}"


class AttemptCount(models.Model):
    """Attempts that are over, by the minute they were started in, how they ended, and how long the network took:
    `bucket` is an index into postbacks/reporting/latency.py's BOUNDS, -1 without an answer."""

    pk = models.CompositePrimaryKey("config_id", "starts_at", "status", "bucket")
    config_id = models.UUIDField()
    starts_at = models.DateTimeField()
    status = models.CharField(max_length=8)
    bucket = models.SmallIntegerField()
    number = models.IntegerField()

    class Meta:
        managed = False
        db_table = "postbacks_attemptcount"

    def __str__(self) -> str:
        return f"{self.number} {self.status} from {self.starts_at:%Y-%m-%d %H:%M}"
