"""Counts of deliveries and attempts, like audience/models/counts.py."""

from django.db import models


class DeliveryCount(models.Model):
    """Deliveries by minute of creation and present state."""

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
    """Finished attempts by minute of their start, status, and latency: `bucket` is an index into BOUNDS of
    postbacks/reporting/latency.py, -1 without an answer.
    """

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
