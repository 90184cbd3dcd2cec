"""The button of the Overview that retries work that was set aside."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect

from audience.hub.toolkit.access import HubRequest, game_view
from audience.models import Membership, Role
from postbacks.hub.overview import set_aside_work


@game_view(role=Role.ADMIN, methods=("POST",))
def set_aside_retry(request: HubRequest, membership: Membership) -> HttpResponse:
    """Retry the work of `queue` of this game that was set aside."""
    try:
        number = set_aside_work.retry(membership.game, request.GET.get("queue", ""))
    except ValueError as error:
        raise Http404("This queue does not exist.") from error
    messages.success(request, f"Queued again: {number}.")
    return redirect("overview", slug=membership.game.slug)
