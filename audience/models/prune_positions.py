"""How far pruning has examined a table of which it examines each row once."""

from django.db import models


class PrunePosition(models.Model):
    """One row per step of pruning."""

    step = models.CharField(max_length=64, unique=True)
    last_id = models.BigIntegerField(help_text="The last row that was examined.")

    def __str__(self) -> str:
        return f"{self.step} up to {self.last_id}"
