"""ExchangeRate: what a currency is worth in the reporting currency of a game."""

from django.db import models
from django.db.models import Q

from audience.models.games import AuditedInGame, Game


class ExchangeRate(AuditedInGame, models.Model):
    """One unit of `currency` is `rate` units of the game's reporting currency."""

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="exchange_rates", db_index=False)
    currency = models.CharField(max_length=3)
    rate = models.DecimalField(max_digits=20, decimal_places=8)

    class Meta:
        ordering = ["currency"]
        constraints = [
            models.UniqueConstraint(fields=["game", "currency"], name="one_rate_per_currency"),
            models.CheckConstraint(condition=Q(rate__gt=0), name="rate_is_positive"),
        ]

    def __str__(self) -> str:
        return f"1 {self.currency} = {self.rate.normalize():f}"
