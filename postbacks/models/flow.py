"""Rate limit and circuit breaker per pixel."""

from django.db import models


class Flow(models.Model):
    """One row per pixel, shared by all workers and games: the rate limiter and the circuit breaker.

    In PostgreSQL and not in the broker, so that flushing the broker resets no limit.
    """

    network = models.CharField(max_length=16)
    pixel_id = models.CharField(max_length=64)
    # The limiter: the earliest start of the next call (postbacks/delivery/pace.py).
    next_slot_at = models.DateTimeField(null=True, blank=True)
    # The breaker (postbacks/delivery/breaker.py): transient failures in a row, and until when no call is made.
    failures = models.PositiveIntegerField(default=0)
    open_until = models.DateTimeField(null=True, blank=True)
    probing = models.BooleanField(default=False, help_text="One call is out to see whether the network is back.")
    # When the network last answered 429.
    limited_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["network", "pixel_id"], name="one_flow_per_pixel")]

    def __str__(self) -> str:
        return f"flow of {self.network} {self.pixel_id}"
