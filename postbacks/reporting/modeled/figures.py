"""How many first launches of a period are modeled matches, by the network and campaign of the click."""

from dataclasses import dataclass

from django.db.models import Count

from audience.models import MatchResult, ModeledMatch
from postbacks.reporting.campaigns.figures import Scope
from postbacks.reporting.campaigns.wording import NOT_NAMED, selects
from postbacks.reporting.labels import network_label


@dataclass(frozen=True, slots=True)
class ModeledRow:
    network: str
    campaign: str
    launches: int

    @property
    def network_label(self) -> str:
        return network_label(self.network)

    @property
    def label(self) -> str:
        return self.campaign or NOT_NAMED


def rows_of(scope: Scope, *, query: str = "") -> list[ModeledRow]:
    """Return the modeled launches of the period, the most first, narrowed by the network and campaign of the scope and
    by a text in their names."""
    matched = ModeledMatch.objects.shown().filter(game=scope.game, result=MatchResult.MATCHED)
    launched = matched.filter(launched_at__gte=scope.period.starts_at, launched_at__lt=scope.period.ends_at)
    counts = launched.order_by().values_list("network", "campaign").annotate(number=Count("pk"))
    found = [ModeledRow(*row) for row in counts.order_by("-number", "network", "campaign")]
    path = scope.path[:2]
    named = [(row, (row.network, row.campaign)) for row in found]
    return [row for row, names in named if names[: len(path)] == path and selects(query, names)]
