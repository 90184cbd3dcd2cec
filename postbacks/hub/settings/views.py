"""Adding and changing a postback: the form, and the network's answer.

The form stays in the browser during the check, so that no input is lost if the network refuses. Tokens and test codes
are never rendered.
"""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role
from postbacks.configs import credentials, lifecycle, unsent_counts
from postbacks.configs.forms import PostbackForm
from postbacks.configs.rules import SettingsRefused
from postbacks.hub.settings.copying import copied_from
from postbacks.hub.settings.forms import bound_form, without_test_code
from postbacks.hub.toolkit.network_pages import base_template, config_or_404, network_or_404
from postbacks.models import CheckState, CredentialCheck, PostbackConfig, Purpose
from postbacks.networks.interface.network import Network

METHODS = ("GET", "HEAD", "POST")
# Longer than any call to a network: a check that takes longer still waits for a worker.
SLOW_AFTER = timedelta(seconds=15)


@game_view(role=Role.MARKETER, methods=METHODS)
def postback_add(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    return _form(request, membership, network_or_404(network), None)


@game_view(role=Role.MARKETER, methods=METHODS)
def postback_edit(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    return _form(request, membership, network_or_404(network), config_or_404(membership, network, pk))


@game_view(role=Role.MARKETER)
def check(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """Show the progress of the check: in the panel beside the form, or as a page without JavaScript."""
    ad_network = network_or_404(network)
    row = get_object_or_404(CredentialCheck, game=membership.game, network=network, pk=pk)
    if row.state == CheckState.PASSED:
        messages.success(request, _success_message(ad_network, row))
        return _to_integration(request, membership, network)
    is_slow = row.state == CheckState.PENDING and clock.now() - row.created_at > SLOW_AFTER
    if request.htmx and row.state == CheckState.PENDING and not is_slow:
        return HttpResponse(status=204)  # htmx keeps the panel and polls again
    template = "hub/settings/_check.html" if request.htmx else "hub/settings/check.html"
    return page(request, template, membership, network=ad_network, check=row, is_slow=is_slow)


def _success_message(network: Network, row: CredentialCheck) -> str:
    if row.purpose == Purpose.SAVE:
        if network.check_note:
            return f"{row.message} The postback for {row.pixel_id} was saved."
        return f"{network.label} accepted the credentials. The postback for {row.pixel_id} was saved."
    if row.purpose == Purpose.TEST and not network.test_note:
        return f"{network.label} accepted the test conversion for {row.pixel_id}. Check the test view of the network."
    return row.message


def _form(request: HubRequest, membership: Membership, network: Network, config: PostbackConfig | None) -> HttpResponse:
    source, copied = copied_from(request, membership.game, network) if config is None else (None, None)
    form = bound_form(network, request, game=membership.game, config=config, copied=copied)
    if request.method == "POST" and form.is_valid():
        try:
            if config:
                row = lifecycle.change(config=config, proposed=form.proposed(), changed_by=request.user)
            else:
                row = credentials.request_check(
                    game=membership.game, proposed=form.proposed(), requested_by=request.user
                )
        except SettingsRefused as refused:
            form.add_error(None, str(refused))
        else:
            return _after_save(request, membership, network, form, row)
    if config and config.enabled and (unsent := unsent_counts.count_unsent(config)):
        form.fields["enabled"].help_text = f"If you disable it: {unsent.text}"
    template = (
        "hub/settings/_form_errors.html" if request.htmx and request.method == "POST" else "hub/settings/form.html"
    )
    is_refused = config and (config.suspected_at or (config.held_at and not config.is_held_by_user))
    context = {
        "network": network,
        "config": config,
        "form": without_test_code(form),
        "base_template": base_template(request),
        "chosen_preset": request.GET.get("preset", ""),
        "copied": copied,
        "copied_from": source,
        "rotates": "rotate" in request.GET or is_refused or any(field.errors for field in form.credential_fields),
    }
    return page(request, template, membership, **context)


def _after_save(
    request: HubRequest, membership: Membership, network: Network, form: PostbackForm, row: CredentialCheck | None
) -> HttpResponse:
    """Show the check; if there is none, the change has been applied."""
    if row is None:
        messages.success(request, "Saved.")
        return _to_integration(request, membership, network.kind)
    if request.htmx:
        return page(request, "hub/settings/_check.html", membership, network=network, check=row, form=form, oob=True)
    return redirect("check", slug=membership.game.slug, network=network.kind, pk=row.pk)


def _to_integration(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    url = reverse("integration", kwargs={"slug": membership.game.slug, "network": network})
    return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
