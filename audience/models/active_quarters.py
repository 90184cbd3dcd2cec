"""ActiveQuarter: when players who clicked an ad were active afterward."""

from django.db import models


class ActiveQuarter(models.Model):
    """A quarter hour in which a player was active, near the first, seventh or thirtieth day after the first click.

    Written by the digest (audience/digest/active_quarters.py). Quarter hours add up to the days of any time zone. The
    first column of the key is the game, so that there is no key by which a row is found without it.
    """

    pk = models.CompositePrimaryKey("game_id", "person_id", "starts_at")
    game_id = models.BigIntegerField()
    person_id = models.UUIDField()
    starts_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.person_id} at {self.starts_at:%Y-%m-%d %H:%M}"
