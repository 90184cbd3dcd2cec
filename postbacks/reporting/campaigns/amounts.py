"""Amounts in the reporting currency of a game, by its exchange rates."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from audience.models import ExchangeRate, Game

# Of amounts of version 0.2 only.
NO_CURRENCY = "amounts without a currency"


@dataclass(frozen=True, slots=True)
class Converted:
    """The sum of amounts in the reporting currency, and the currencies that have no rate, which it leaves out."""

    amount: Decimal
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rates:
    """`rates`: {currency: its worth in the reporting currency}, with that itself."""

    currency: str
    rates: Mapping[str, Decimal]

    def convert(self, amounts: Mapping[str, Decimal]) -> Converted:
        """Convert {currency: amount}."""
        known = [amount * self.rates[code] for code, amount in amounts.items() if code in self.rates]
        missing = sorted(code or NO_CURRENCY for code, amount in amounts.items() if code not in self.rates and amount)
        return Converted(sum(known, Decimal(0)), tuple(missing))


def rates_of(game: Game) -> Rates:
    stored = dict(ExchangeRate.objects.filter(game=game).values_list("currency", "rate"))
    return Rates(game.reporting_currency, {**stored, game.reporting_currency: Decimal(1)})
