"""How many first launches of a period are modeled matches, by the network and campaign of the click."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from postbacks.reporting.campaigns.figures import Scope
from postbacks.reporting.campaigns.wording import NOT_NAMED, selects
from postbacks.reporting.labels import network_label

LAUNCHES = """
SELECT touch.network, audience_campaign_name(touch.campaign), count(*)
FROM audience_modeledmatch AS matched
JOIN audience_conversion AS conversion ON conversion.id = matched.conversion_id
JOIN audience_touch AS touch ON touch.id = matched.touch_id
JOIN audience_game AS game ON game.id = matched.game_id AND 'modeled' = ANY(game.joins)
WHERE matched.game_id = %(game)s AND matched.result = 'matched' AND conversion.touch_id IS NULL
  AND matched.launched_at >= %(start)s AND matched.launched_at < %(end)s
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


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
    params: dict[str, Any] = {"game": scope.game.pk, "start": scope.period.starts_at, "end": scope.period.ends_at}
    with connection.cursor() as cursor:
        cursor.execute(LAUNCHES, params)
        found = [ModeledRow(*row) for row in cursor.fetchall()]
    path = scope.path[:2]
    named = [(row, (row.network, row.campaign)) for row in found]
    return [row for row, names in named if names[: len(path)] == path and selects(query, names)]
