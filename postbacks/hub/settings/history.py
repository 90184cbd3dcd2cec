"""Credentials of a postback: checking again, rolling back, and its history."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role
from postbacks.configs import credentials, lifecycle
from postbacks.hub.toolkit.networks import config_or_404, network_or_404
from postbacks.models import CredentialCheck, PostbackConfig

# Newest rows shown per list.
MAX_LISTED = 50


@game_view(role=Role.MARKETER, methods=("POST",))
def postback_recheck(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """Check the credential again; if accepted, held deliveries are released."""
    config = config_or_404(membership, network, pk)
    return _start_check(request, membership, config, credentials.request_release)


@game_view(role=Role.MARKETER, methods=("POST",))
def postback_roll_back(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """Restore the credential before the last rotation, once the network has accepted it."""
    config = config_or_404(membership, network, pk)
    return _start_check(request, membership, config, lifecycle.roll_back)


def _start_check(
    request: HubRequest, membership: Membership, config: PostbackConfig, start: Callable[..., CredentialCheck]
) -> HttpResponse:
    """Redirect to the result of the check that `verb` starts, or back with its refusal."""
    slug, network = membership.game.slug, config.network
    try:
        row = start(config=config, requested_by=request.user)
    except lifecycle.SettingsRefused as refused:
        messages.error(request, str(refused))
        return redirect("integration", slug=slug, network=network)
    return redirect("check", slug=slug, network=network, pk=row.pk)


@game_view()
def postback_history(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """Show every version with who set it, and every check with its result."""
    found = network_or_404(network)
    all_of_game = PostbackConfig.objects.filter(game=membership.game, network=network)
    config = get_object_or_404(all_of_game.defer("credential", "previous_credential"), pk=pk)
    versions = config.versions.select_related("set_by").order_by("-number")[:MAX_LISTED]
    asked = CredentialCheck.objects.filter(config=config).select_related("requested_by").defer("credential")
    checks = asked.order_by("-created_at")[:MAX_LISTED]
    context = {"network": found, "config": config, "versions": versions, "checks": checks}
    return page(request, "hub/settings/history.html", membership, **context)
