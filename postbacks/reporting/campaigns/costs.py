"""What campaigns cost: storing the rows of an upload, and sums per campaign and day."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import transaction

from audience.database import clock
from audience.models import Game
from postbacks.models import AdCost, CostUpload


@transaction.atomic
def store(*, game: Game, rows: Sequence[AdCost], name: str, uploaded_by: str) -> CostUpload:
    """Store rows, in place of those of the same days, networks and campaigns; return the upload."""
    days = sorted({row.day for row in rows})
    keys = {(row.day, row.network, row.campaign) for row in rows}
    earlier = AdCost.objects.filter(game=game, day__range=(days[0], days[-1]))
    replaced = [pk for pk, *key in earlier.values_list("pk", "day", "network", "campaign") if tuple(key) in keys]
    AdCost.objects.filter(game=game, pk__in=replaced).delete()
    AdCost.objects.bulk_create(rows)
    return CostUpload.objects.create(
        game=game,
        name=name[:200],
        rows=len(rows),
        replaced=len(replaced),
        first_day=days[0],
        last_day=days[-1],
        uploaded_by=uploaded_by[:254],
        uploaded_at=clock.now(),
    )


@dataclass(frozen=True, slots=True)
class DayCost:
    """The cost of a campaign on a day."""

    names: tuple[str, str]
    day: date
    currency: str
    spend: Decimal


def of_days(game: Game, first: date, last: date, names: Mapping[str, str]) -> Iterator[DayCost]:
    """Yield the costs of the days, of the network and campaign in `names`."""
    rows = AdCost.objects.filter(game=game, day__range=(first, last), **names)
    columns = ("network", "campaign", "day", "currency", "spend")
    for network, campaign, day, currency, spend in rows.values_list(*columns):
        yield DayCost((network, campaign), day, currency, spend)


def by_currency(costs: Sequence[DayCost], *, until: date | None = None) -> dict[str, Decimal]:
    """Return {currency: spend} of the costs, until a day."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for cost in costs:
        if until is None or cost.day <= until:
            found[cost.currency] += cost.spend
    return dict(found)


def has_any(game: Game) -> bool:
    return AdCost.objects.filter(game=game).exists()
