"""The first figures of the Overview: attributed revenue and conversions sent, beside those of the period before.

Read from the figures of quarter hours (postbacks/reporting/campaigns/refresh.py), as on the Campaigns page.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum

from audience.models import Game
from postbacks.models import AdvertQuarter
from postbacks.reporting.campaigns.amounts import Converted, rates_of

# `advert_id` of the sum of all ads.
ALL_ADS = 0
COLUMNS = ("sent", "accepted", "value")


@dataclass(slots=True)
class PeriodFigures:
    """`revenue`: {currency: amount}."""

    sent: int = 0
    accepted: int = 0
    revenue: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The figures of a period and of the one before; `revenue` is in `currency`, `originals` before the conversion."""

    now: PeriodFigures
    before: PeriodFigures
    currency: str
    revenue: Converted
    revenue_before: Converted

    @property
    def originals(self) -> list[tuple[str, Decimal]]:
        """The amounts by currency, empty if all are in the reporting currency."""
        amounts = sorted((code, amount) for code, amount in self.now.revenue.items() if amount)
        return [] if [code for code, _ in amounts] in ([], [self.currency]) else amounts

    @property
    def revenue_change(self) -> str:
        return change(self.revenue.amount, self.revenue_before.amount)

    @property
    def sent_change(self) -> str:
        return change(self.now.sent, self.before.sent)


def read(game: Game, *, since: datetime, until: datetime, now: datetime) -> Headline:
    """Return the figures from `since` until `until`, and those of as long a time before; of a period that is not over,
    up to the same time."""
    span = until - since
    found, before = _sums(
        game,
        Q(starts_at__gte=since, starts_at__lt=until),
        Q(starts_at__gte=since - span, starts_at__lt=min(until, now) - span),
    )
    rates = rates_of(game)
    return Headline(
        now=found,
        before=before,
        currency=rates.currency,
        revenue=rates.convert(found.revenue),
        revenue_before=rates.convert(before.revenue),
    )


def _sums(game: Game, *spans: Q) -> list[PeriodFigures]:
    """Return the figures of each span, in one query."""
    sums = {f"{column}_{n}": Sum(column, filter=span) for n, span in enumerate(spans) for column in COLUMNS}
    either = Q(*spans, _connector=Q.OR)
    quarters = AdvertQuarter.objects.filter(either, game_id=game.pk, advert_id=ALL_ADS).exclude(trigger="")
    found = [PeriodFigures() for _ in spans]
    rows: Any = quarters.values("currency").annotate(**sums).order_by("currency")
    for row in rows:
        for number, figures in enumerate(found):
            sent, accepted, value = (row[f"{column}_{number}"] for column in COLUMNS)
            figures.sent += sent or 0
            figures.accepted += accepted or 0
            if value:
                figures.revenue[row["currency"]] += value
    return found


def change(value: Decimal | int, before: Decimal | int) -> str:
    """Return the change in per cent, "+12%"; '' without a figure before."""
    if not before:
        return ""
    share = round(100 * (value - before) / before)
    return f"{'−' if share < 0 else '+'}{abs(share):,}%"
