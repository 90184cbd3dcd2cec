"""The page of one conversion: its event, clicks, consent, every postback, and what to do."""

from uuid import UUID

from django.http import HttpResponse

from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.masking import as_json, masked
from audience.models import Conversion, Membership
from postbacks.hub.toolkit.conversion_rows import conversion_row
from postbacks.outbox import reasons
from postbacks.reporting import clicks, conversion_detail


@game_view()
def conversion(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    found = conversion_detail.loaded(Conversion.objects.filter(game=membership.game, pk=pk)).first()
    if found is None:
        response = page(request, "hub/conversions/conversion_gone.html", membership)
        response.status_code = 404
        return response
    addresses = sees_addresses(membership)
    context = {
        "row": conversion_row(found, addresses=addresses),
        "trail": conversion_detail.load_detail(found, addresses=addresses),
        "message_id": masked(found.message_id, addresses=addresses),
        "player": masked(found.user_id, addresses=addresses) or f"Player {str(found.person_id)[:8]}",
        "properties": as_json(masked(found.properties, addresses=addresses)),
        "remedy": reasons.TEXTS[found.reason].remedy if found.reason else "",
        "window_days": membership.game.attribution_window_days,
        "most_clicks": clicks.MAX_CLICKS,
    }
    return page(request, "hub/conversions/conversion.html", membership, **context)
