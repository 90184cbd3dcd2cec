"""Shows the request that the form's templates make, while the user types."""

from django.http import Http404, HttpResponse

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.filters import parse_uuid
from audience.models import Membership, Role
from postbacks.hub.toolkit.network_pages import config_or_404, network_or_404
from postbacks.preview.request_preview import preview_request

MAX_PART = 4096  # as in the form


@game_view(role=Role.MARKETER, methods=("POST",))
def request_preview(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Preview the posted parts; `?config=` has the postback whose stored secrets take the place of blank ones."""
    ad_network = network_or_404(network)
    if not ad_network.has_templates:
        raise Http404("Requests to this network have no templates.")
    pk = parse_uuid(request.GET.get("config", ""))
    stored = dict(config_or_404(membership, network, pk).credential) if pk else {}
    posted = {
        part.name: request.POST.get(part.form_name, "").strip()[:MAX_PART] for part in ad_network.credential_fields
    }
    plain = {part.name for part in ad_network.credential_fields if part.kind == "plain"}
    credential = {name: value or ("" if name in plain else stored.get(name, "")) for name, value in posted.items()}
    result = preview_request(ad_network, credential, pixel_id=request.POST.get("pixel_id", "").strip()[:64])
    return page(request, "hub/settings/_request.html", membership, result=result)
