"""Fills a row of goals from the ready-made goal that was just selected, so that it can be changed before saving."""

from django.http import Http404, HttpResponse

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role
from postbacks.configs.goal_forms import filled_row
from postbacks.hub.toolkit.network_pages import network_or_404
from postbacks.outbox.goals import MAX_GOALS


@game_view(role=Role.MARKETER, methods=("POST",))
def goal_row(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """`?row=` counts from 0. 204, which changes nothing, if the row selects no ready-made goal."""
    ad_network, entered = network_or_404(network), request.GET.get("row", "")
    if not entered.isdecimal() or len(entered) > 2 or int(entered) > 2 * MAX_GOALS:
        raise Http404("This row does not exist.")
    game_goals = list(membership.game.game_goals.order_by("name"))
    row = filled_row(ad_network, request.POST, number=int(entered), game_goals=game_goals)
    if row is None:
        return HttpResponse(status=204)
    return page(request, "hub/settings/_goal_row.html", membership, network=ad_network, row=row)
