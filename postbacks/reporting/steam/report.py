"""Steam's totals of a period by campaign, and the campaigns of clicks that have the same name."""

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Sum

from audience.models import Game
from postbacks.models import Advert, SteamUpload
from postbacks.reporting.campaigns.cost_matching import name_key
from postbacks.reporting.campaigns.figures import Scope
from postbacks.reporting.campaigns.wording import NOT_NAMED
from postbacks.reporting.labels import network_label
from postbacks.reporting.steam import uploads
from postbacks.reporting.steam.files import COUNTS

COUNT_LABELS = {
    "visits": "Visits",
    "trusted_visits": "Trusted visits",
    "tracked_visits": "Tracked visits",
    "wishlists": "Wishlists",
    "purchases": "Purchases",
    "activations": "Activations",
}


@dataclass(frozen=True, slots=True)
class SteamRow:
    """The totals of a campaign and source as Steam names them, in the order of COUNTS; None for an unknown count.

    `campaigns` are those of clicks with the same name: (network, its label, name).
    """

    campaign: str
    source: str
    counts: list[int | None]
    campaigns: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.campaign or NOT_NAMED

    @property
    def labeled(self) -> list[tuple[str, int | None]]:
        """(label, count) of each count."""
        return list(zip(COUNT_LABELS.values(), self.counts, strict=True))


def has_any(game: Game) -> bool:
    return SteamUpload.objects.filter(game=game).exists()


def rows_of(scope: Scope, *, query: str = "") -> list[SteamRow]:
    """Return the rows of the days of the period, those with the most visits first.

    `query` narrows them by a text in the name of the campaign, and the scope by its campaign. Steam's days are compared
    with those of the period as they are, since a total cannot be moved to another time zone.
    """
    stored = uploads.stored(scope.game, scope.period.first, scope.period.last)
    sums = stored.order_by().values_list("campaign", "source").annotate(*(Sum(name) for name in COUNTS))
    wanted = name_key(scope.path[1]) if len(scope.path) > 1 else None
    found = [SteamRow(row[0], row[1], list(row[2:])) for row in sums]
    selected = [
        row
        for row in found
        if query.casefold() in row.label.casefold() and (wanted is None or name_key(row.campaign) == wanted)
    ]
    named = _campaigns(scope.game) if selected else {}
    for row in selected:
        row.campaigns.extend(named.get(name_key(row.campaign), []) if row.campaign else [])
    return sorted(selected, key=lambda row: (-(row.counts[0] or 0), row.campaign, row.source))


def _campaigns(game: Game) -> dict[str, list[tuple[str, str, str]]]:
    """Return {name_key: [(network, its label, name)]} of all campaigns that clicks of the game ever named."""
    rows = Advert.objects.filter(game=game).exclude(campaign="").order_by("network", "campaign")
    named: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for network, campaign in rows.values_list("network", "campaign").distinct():
        named[name_key(campaign)].append((network, network_label(network), campaign))
    return dict(named)
