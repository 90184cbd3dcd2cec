"""The actions of a postback: enable, disable, hold, release, delete, check or roll back the credential; its history."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.confirmation import TypedName
from audience.models import Membership, Role
from postbacks.configs import credentials, lifecycle, unsent_counts
from postbacks.configs.forms import HoldForm
from postbacks.configs.rules import SettingsRefused
from postbacks.delivery import try_now
from postbacks.hub.toolkit.network_pages import config_or_404, network_or_404
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.reporting.labels import conversions

# Newest versions and checks in the history.
MAX_LISTED = 50


@game_view(role=Role.MARKETER, methods=("POST",))
def postback_enable(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    config = config_or_404(membership, network, pk)
    try:
        lifecycle.enable(config=config, changed_by=request.user)
        messages.success(request, f"The postback for {config.pixel_id} was enabled.")
    except SettingsRefused as refused:
        messages.error(request, str(refused))
    return _back(membership, network)


@game_view(role=Role.MARKETER, methods=("GET", "HEAD", "POST"))
def postback_disable(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """GET counts what would not be sent. POST disables; with `ask` and unsent deliveries it redirects to GET."""
    config = config_or_404(membership, network, pk)
    unsent = unsent_counts.count_unsent(config)
    if request.method != "POST":
        context = {"network": network_or_404(network), "config": config, "unsent": unsent}
        return page(request, "hub/settings/disable.html", membership, **context)
    if unsent and "ask" in request.POST:
        return redirect("postback-disable", slug=membership.game.slug, network=network, pk=pk)
    try:
        unsent = lifecycle.disable(config=config, changed_by=request.user)
        text = f"The postback for {config.pixel_id} was disabled. Nothing is sent while it is disabled."
        messages.success(request, f"{text} {unsent.text}".rstrip())
    except SettingsRefused as refused:
        messages.error(request, str(refused))
    return _back(membership, network)


@game_view(role=Role.MARKETER, methods=("GET", "HEAD", "POST"))
def postback_hold(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """GET says what a hold does, with a field for the reason. POST puts the postback on hold."""
    config = config_or_404(membership, network, pk)
    form = HoldForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        context = {"network": network_or_404(network), "config": config, "form": form}
        return page(request, "hub/settings/hold.html", membership, **context)
    try:
        held = lifecycle.put_on_hold(config=config, changed_by=request.user, note=form.cleaned_data["note"])
        text = f"The postback for {config.pixel_id} is on hold."
        messages.success(request, f"{text} {conversions(held, 'waits', 'wait')} until a user releases it.")
    except SettingsRefused as refused:
        messages.error(request, str(refused))
    return _back(membership, network)


@game_view(role=Role.MARKETER, methods=("POST",))
def postback_release(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """End a hold without a check of the credential."""
    config = config_or_404(membership, network, pk)
    try:
        released = lifecycle.release(config=config, changed_by=request.user)
        text = f"The postback for {config.pixel_id} was released."
        messages.success(request, f"{text} {conversions(released, 'is', 'are')} sent now.")
    except SettingsRefused as refused:
        messages.error(request, str(refused))
    return _back(membership, network)


@game_view(role=Role.MARKETER, methods=("GET", "HEAD", "POST"))
def postback_delete(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    config = config_or_404(membership, network, pk)
    posted = request.POST if request.method == "POST" else None
    form = TypedName(posted, expected=config.pixel_id, refusal="Nothing was deleted.")
    if form.is_valid():
        unsent = lifecycle.delete(config=config, changed_by=request.user)
        text = f"The postback for {config.pixel_id} and its credentials were deleted."
        messages.success(request, f"{text} {unsent.text}".rstrip())
        return _back(membership, network)
    context = {
        "network": network_or_404(network),
        "config": config,
        "form": form,
        "unsent": unsent_counts.count_unsent(config),
    }
    return page(request, "hub/settings/delete.html", membership, **context)


@game_view(role=Role.MARKETER, methods=("POST",))
def postback_try_now(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """Send what waits before the pause of the pixel ends."""
    config = config_or_404(membership, network, pk)
    try:
        number = try_now.try_config(config)
        following = conversions(number, "is", "are")
        messages.success(request, f"One call is made now. If {config.kind.label} accepts it, {following} sent.")
    except try_now.NotTryable as problem:
        messages.error(request, str(problem))
    return _back(membership, network)


@game_view(role=Role.MARKETER, methods=("POST",))
def postback_recheck(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """Check the credential again; if the network accepts it, held deliveries are released."""
    config = config_or_404(membership, network, pk)
    return _start_check(request, membership, config, credentials.request_release)


@game_view(role=Role.MARKETER, methods=("POST",))
def postback_roll_back(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """Restore the credential from before the last rotation, if the network accepts it."""
    config = config_or_404(membership, network, pk)
    return _start_check(request, membership, config, lifecycle.roll_back)


def _start_check(
    request: HubRequest, membership: Membership, config: PostbackConfig, start: Callable[..., CredentialCheck]
) -> HttpResponse:
    """Redirect to the page of the check that `start` creates, or back with the refusal."""
    try:
        row = start(config=config, requested_by=request.user)
    except SettingsRefused as refused:
        messages.error(request, str(refused))
        return _back(membership, config.network)
    return redirect("check", slug=membership.game.slug, network=config.network, pk=row.pk)


@game_view()
def postback_history(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """Show the versions with their authors, and the checks with their results."""
    ad_network = network_or_404(network)
    configs = PostbackConfig.objects.filter(game=membership.game, network=network)
    config = get_object_or_404(configs.defer("credential", "previous_credential"), pk=pk)
    versions = config.versions.select_related("set_by").order_by("-number")[:MAX_LISTED]
    checks = CredentialCheck.objects.filter(config=config).select_related("requested_by").defer("credential")
    checks = checks.order_by("-created_at")[:MAX_LISTED]
    context = {"network": ad_network, "config": config, "versions": versions, "checks": checks}
    return page(request, "hub/settings/history.html", membership, **context)


def _back(membership: Membership, network: str) -> HttpResponse:
    return redirect("integration", slug=membership.game.slug, network=network)
