"""Tracking links: the addresses to paste into each ad network, and clicks by day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from audience.models import LinkCount, TrackingLink
from audience.wording.days import Days
from postbacks.networks import NETWORKS

# A value of utm_medium that always means a paid click.
PAID_MEDIUM = "cpc"


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """The address of a link for the ads of one network, with its macros."""

    network: str
    label: str
    url: str


def addresses(link: TrackingLink) -> list[LinkAddress]:
    """Return the addresses of a link, one for each network that has values of utm_source."""
    return list(_addresses(link))


def clicks_by_day(link: TrackingLink, days: Days) -> list[tuple[date, int]]:
    """Return [(day in UTC, clicks), ...], with the days that have none."""
    rows = LinkCount.objects.filter(game=link.game_id, link=link, day__gte=days.first, day__lte=days.last)
    counts = dict(rows.values_list("day", "clicks"))
    return [(day, counts.get(day, 0)) for day in days.dates]


def _addresses(link: TrackingLink) -> Iterator[LinkAddress]:
    for kind, network in NETWORKS.items():
        if not network.utm_sources:
            continue
        # Not encoded: the words need no encoding, and networks replace macros as they are written only.
        parameters = {"utm_source": network.utm_sources[0], "utm_medium": PAID_MEDIUM, **network.link_parameters}
        # A UTM parameter of the link replaces that of its address.
        query = "&".join(f"{name}={value}" for name, value in parameters.items() if name not in link.tags)
        yield LinkAddress(kind, network.label, f"{link.url}?{query}" if query else link.url)
