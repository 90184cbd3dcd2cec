"""How fast one pixel is sent to, and whether its network is being left alone."""

from django.db import models


class Flow(models.Model):
    """One row per pixel, whatever the number of workers and of games that share it: the limiter and the breaker.

    In PostgreSQL and not in the broker, so that a flushed broker forgets no limit.
    """

    network = models.CharField(max_length=16)
    pixel_id = models.CharField(max_length=64)
    # The limiter: the next call may start then (postbacks/delivery/pace.py).
    next_slot_at = models.DateTimeField(null=True, blank=True)
    # The breaker (postbacks/delivery/breaker.py): transient failures in a row, and until when nothing is tried.
    failures = models.PositiveIntegerField(default=0)
    open_until = models.DateTimeField(null=True, blank=True)
    probing = models.BooleanField(default=False, help_text="One call is out to see whether the network is back.")
    # The last time the network said "too many requests".
    limited_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["network", "pixel_id"], name="one_flow_per_pixel")]

    def __str__(self) -> str:
        return f"flow of {self.network} {self.pixel_id}"
