"""Finds the campaign of a cost among those of clicks: by its ID where clicks name one, else by its name.

Upper and lower case and spaces at either end of a name do not matter.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

from audience.models import Game
from postbacks.models import Advert, CampaignId

Named = tuple[str, str]


def name_key(campaign: str) -> str:
    """Return what names of one campaign have in common."""
    return campaign.strip().casefold()


def cost_key(day: date, network: str, campaign: str) -> tuple[date, str, str]:
    """Return what the costs of a campaign on a day have in common, with and without an ID."""
    return day, network, name_key(campaign)


@dataclass(frozen=True, slots=True)
class Matcher:
    """`names`: the campaigns by (network, name_key); `ids`: those by (network, ID)."""

    names: dict[Named, set[str]]
    ids: dict[Named, set[str]]

    def find(self, network: str, campaign: str, campaign_id: str, preferred: Collection[Named] = ()) -> str | None:
        """Return the campaign of a cost as clicks name it, None if there is none; of several one of `preferred`."""
        found = self._with_id(network, campaign_id) if campaign_id else set()
        found = found or self.names.get((network, name_key(campaign)), set()) or self._with_id(network, campaign)
        if campaign in found:
            return campaign
        return min(found, key=lambda name: ((network, name) not in preferred, name), default=None)

    def _with_id(self, network: str, campaign_id: str) -> set[str]:
        """Clicks that name a campaign by its ID only have this as its name."""
        return self.ids.get((network, campaign_id), set()) or self.names.get((network, name_key(campaign_id)), set())


def load(game: Game) -> Matcher:
    """Return the matcher for all campaigns that clicks of the game ever named."""
    rows = Advert.objects.filter(game=game).order_by().values_list("network", "campaign").distinct()
    ids = CampaignId.objects.filter(game=game).values_list("network", "campaign_id", "campaign")
    return Matcher(
        _grouped((network, name_key(campaign), campaign) for network, campaign in rows if campaign), _grouped(ids)
    )


def _grouped(rows: Iterable[tuple[str, str, str]]) -> dict[Named, set[str]]:
    found: dict[Named, set[str]] = defaultdict(set)
    for network, key, campaign in rows:
        found[network, key].add(campaign)
    return dict(found)
