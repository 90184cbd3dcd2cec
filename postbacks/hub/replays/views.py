"""Sending failed deliveries again: many from the page of a network, one from the page of a conversion."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import Resolver404, resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership, Role
from postbacks.configs.sending_state import block_of
from postbacks.delivery import failed_deliveries, replays, try_now
from postbacks.delivery.failed_deliveries import ReplayOffer
from postbacks.hub.replays import failure_groups
from postbacks.hub.replays.failure_groups import FailureGroup
from postbacks.hub.toolkit.network_pages import live_configs, network_or_404
from postbacks.models import Delivery, PostbackConfig, Replay
from postbacks.networks.interface.call import Verdict

# A group, and what can be sent again of it. Without a group: an offer for failures that are not among the newest.
Failures = tuple[FailureGroup | None, ReplayOffer | None]
MAX_REPLAYS = 5  # newest ones listed
# URL names of the pages with a button to send one delivery, to which its view redirects.
PAGES_WITH_BUTTON = {"conversion", "conversions", "attempt"}
# A date picker with hours and minutes.
MINUTE_INPUT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
VERDICTS = (
    ("", "Any"),
    (Verdict.CREDENTIAL.value, "Credential refused"),
    (Verdict.TRANSIENT.value, "Network not reachable"),
    (Verdict.PAYLOAD.value, "Event refused"),
)


class ReplayForm(forms.Form):
    """A filter of failed deliveries. `failed_from` and `failed_until` are in UTC, or blank for no limit."""

    config = forms.ModelChoiceField(PostbackConfig.objects.none(), label="Postback", empty_label=None)
    failed_from = forms.DateTimeField(required=False, widget=MINUTE_INPUT, label="Failed from (UTC)")
    failed_until = forms.DateTimeField(required=False, widget=MINUTE_INPUT, label="Failed before (UTC)")
    verdict = forms.ChoiceField(choices=VERDICTS, required=False, label="Kind of failure")

    def __init__(self, *args: Any, configs: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["config"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = configs

    def clean_failed_until(self) -> datetime | None:
        end: datetime | None
        start, end = self.cleaned_data.get("failed_from"), self.cleaned_data["failed_until"]
        if start and end and end <= start:
            raise forms.ValidationError("The end must be later than the start.")
        return end


def section_context(configs: Sequence[PostbackConfig]) -> dict[str, Any]:
    """Return the failures by reason, what can be sent again, and the newest replays with their progress."""
    by_id = {config.pk: config for config in configs}
    newest = Replay.objects.filter(config__in=by_id).order_by("-created_at")
    rows = list(newest.prefetch_related("requested_by")[:MAX_REPLAYS])
    for row in rows:
        row.config = by_id[row.config_id]
    progress = failed_deliveries.progress(rows)
    running = {row.replay.config_id for row in progress if row.is_running}
    offers = [offer for offer in failed_deliveries.offers(configs) if offer.config.pk not in running]
    failures = with_offers(failure_groups.groups_of(configs), offers)
    return {"failures": failures, "replays": progress, "has_running_replay": bool(running)}


def with_offers(groups: Sequence[FailureGroup], offers: Sequence[ReplayOffer]) -> list[Failures]:
    """Return each group with the offer of its postback and verdict, once, at the newest group; then other offers."""
    by_key = {(offer.config.pk, offer.verdict): offer for offer in offers}
    found: list[Failures] = [(group, by_key.pop((group.config.pk, group.verdict), None)) for group in groups]
    return [*found, *((None, offer) for offer in by_key.values())]


@game_view()
def replay_list(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Show the section for its refresh, or a page with the filter and its counts."""
    ad_network, game = network_or_404(network), membership.game
    context: dict[str, Any] = {"network": ad_network, **section_context(list(live_configs(game, network)))}
    if request.htmx:
        return page(request, "hub/replays/_replays.html", membership, **context)
    form = ReplayForm(request.GET if "config" in request.GET else None, configs=live_configs(game, network))
    if form.is_bound and form.is_valid():
        context["counts"] = failed_deliveries.preview(**form.cleaned_data)
        context["blocked"] = block_of(form.cleaned_data["config"])
    return page(request, "hub/replays/page.html", membership, form=form, **context)


@game_view(role=Role.MARKETER, methods=("POST",))
def replay_start(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    form = ReplayForm(request.POST, configs=live_configs(membership.game, network_or_404(network).kind))
    if not form.is_valid():
        messages.error(request, "Nothing was sent. Select a postback and a period.")
        return redirect("replays", slug=membership.game.slug, network=network)
    try:
        replay = replays.start(requested_by=request.user, **form.cleaned_data)
        messages.success(request, f"Queued again: {replay.total - replay.past_deadline}.")
    except replays.ReplayRefused as refused:
        messages.error(request, str(refused))
    return redirect("integration", slug=membership.game.slug, network=network)


@game_view(role=Role.MARKETER, methods=("POST",))
def replay_cancel(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    rows = Replay.objects.filter(game=membership.game, config__network=network)
    stopped = replays.cancel(replay=get_object_or_404(rows, pk=pk))
    messages.success(request, f"The replay has stopped. Deliveries that were not sent: {stopped}.")
    return redirect("integration", slug=membership.game.slug, network=network)


@game_view(role=Role.MARKETER, methods=("POST",))
def delivery_send_again(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    return _queue(request, membership, pk, replays.send_again, "The delivery was queued again with the same event ID.")


@game_view(role=Role.MARKETER, methods=("POST",))
def delivery_try_now(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    """Send a waiting delivery before its next attempt."""
    return _queue(request, membership, pk, try_now.try_delivery, "The delivery is sent now with the same event ID.")


def _queue(
    request: HubRequest, membership: Membership, pk: UUID, queue: Callable[[Delivery], object], done: str
) -> HttpResponse:
    """Call `queue` with the delivery, and show the sentence `done` or why it is refused."""
    delivery = get_object_or_404(Delivery, game=membership.game, pk=pk)
    try:
        queue(delivery)
        messages.success(request, done)
    except (replays.NotSendable, try_now.NotTryable) as problem:
        messages.error(request, str(problem))
    return redirect(_return_url(request, membership.game.slug))


def _return_url(request: HubRequest, slug: str) -> str:
    """Return the page that the Referer names if it has the button, else the Conversions page."""
    fallback = reverse("conversions", kwargs={"slug": slug})
    referer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referer, {request.get_host()}):
        return fallback
    parts = urlsplit(referer)
    try:
        match = resolve(parts.path)
    except Resolver404:
        return fallback
    has_button = match.url_name in PAGES_WITH_BUTTON and match.kwargs.get("slug") == slug
    return urlunsplit(("", "", parts.path, parts.query, "")) if has_button else fallback
