"""What campaigns cost: storing the rows of an upload, and the costs of days, by the campaigns of clicks."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import transaction

from audience.database import clock
from audience.models import Game
from postbacks.models import AdCost, CostUpload
from postbacks.reporting.campaigns.cost_matching import cost_key


@transaction.atomic
def store(*, game: Game, rows: Sequence[AdCost], name: str, uploaded_by: str) -> CostUpload:
    """Store rows, in place of those of the same days, networks and campaigns; return the upload."""
    # One upload after another: two files may have the same rows.
    Game.objects.select_for_update(no_key=True).get(pk=game.pk)
    days = sorted({row.day for row in rows})
    keys = {cost_key(row.day, row.network, row.campaign) for row in rows}
    earlier = AdCost.objects.filter(game=game, day__range=(days[0], days[-1]))
    columns = earlier.values_list("pk", "day", "network", "campaign")
    replaced = [pk for pk, day, network, campaign in columns if cost_key(day, network, campaign) in keys]
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
    """The cost of a campaign on a day, as the file names it."""

    network: str
    campaign: str
    campaign_id: str
    day: date
    currency: str
    spend: Decimal


def of_days(game: Game, first: date, last: date, *, network: str = "") -> list[DayCost]:
    """Return the costs of the days, of all networks or one."""
    rows = AdCost.objects.filter(game=game, day__range=(first, last))
    rows = rows.filter(network=network) if network else rows
    columns = ("network", "campaign", "campaign_id", "day", "currency", "spend")
    return [DayCost(*row) for row in rows.values_list(*columns)]


def by_currency(costs: Iterable[DayCost]) -> Mapping[str, Decimal]:
    """Return {currency: spend} of the costs."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for cost in costs:
        found[cost.currency] += cost.spend
    return dict(found)


def has_any(game: Game) -> bool:
    return AdCost.objects.filter(game=game).exists()
