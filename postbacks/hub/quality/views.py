"""Match quality: which match keys the sent events had, and how to improve it."""

from dataclasses import dataclass

from django.http import HttpResponse

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership
from postbacks.hub.toolkit.networks import network_or_404
from postbacks.networks.interface.matching import KeyShare
from postbacks.reporting.match_quality import quality_of


@dataclass(frozen=True, slots=True)
class ShareRow:
    """`percent` is rounded so that 0 means none and 100 means all."""

    share: KeyShare
    percent: int

    @classmethod
    def of(cls, share: KeyShare) -> "ShareRow":
        rounded = round(share.share * 100)
        return cls(share, min(max(rounded, 1), 99) if 0 < share.share < 1 else rounded)


@game_view()
def match_quality(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Show the page; htmx requests its summary for the network's page."""
    found = network_or_404(network)
    quality = quality_of(membership.game, found)
    template = "hub/quality/_summary.html" if request.htmx else "hub/quality/page.html"
    rows = [ShareRow.of(share) for share in quality.shares]
    return page(request, template, membership, network=found, quality=quality, rows=rows)
