"""Trying a postback before going live: preview, dry run, and test conversion."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.masking import as_json
from audience.models import Game, Membership, Role, Trigger
from postbacks.configs import credentials
from postbacks.configs.forms import PostbackForm
from postbacks.configs.goal_definition import NO_SUGGESTIONS
from postbacks.configs.rules import SettingsRefused
from postbacks.hub.settings.forms import bound_form
from postbacks.hub.toolkit.network_pages import live_configs, network_or_404
from postbacks.models import PostbackConfig
from postbacks.networks.interface.network import Network
from postbacks.preview import dry_run, preview

# Form fields that a dry run does not use; they are validated when saving.
IGNORED_FIELDS = {"pixel_id", "test_code"}


class SendTestForm(forms.Form):
    """A test conversion: postback, test code and event."""

    config = forms.ModelChoiceField(PostbackConfig.objects.none(), label="Postback", empty_label=None)
    trigger = forms.ChoiceField(choices=Trigger.choices, label="Event")
    test_code = forms.CharField(max_length=128, widget=forms.TextInput(attrs=NO_SUGGESTIONS))

    def __init__(
        self, network: Network, game: Game, *args: Any, configs: Iterable[PostbackConfig] | None = None, **kwargs: Any
    ) -> None:
        """`configs` are the postbacks of the game if they have been read already."""
        super().__init__(*args, **{"auto_id": "id_test_%s", **kwargs})
        config, code = self.fields["config"], self.fields["test_code"]
        assert isinstance(config, forms.ModelChoiceField)
        config.queryset = live_configs(game, network.kind)
        # Evaluated once: the widget iterates over its choices several times, each time with a query.
        config.choices = [(row.pk, str(row)) for row in (config.queryset if configs is None else configs)]
        code.label, code.help_text = network.test_code_label, network.test_code_help
        if not network.test_code_label:
            del self.fields["test_code"]


@game_view()
def preview_page(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Preview `?conversion=` for `?config=`, or for a new postback with both triggers if the game has none."""
    ad_network, game = network_or_404(network), membership.game
    configs = list(live_configs(game, network))
    config = next((row for row in configs if str(row.pk) == request.GET.get("config")), None)
    config = config or next(iter(configs), None)
    choices = preview.recent_conversions(game, network, configs)
    conversion = preview.chosen_conversion(game, request.GET.get("conversion", ""), choices)
    context: dict[str, Any] = {"network": ad_network, "configs": configs, "config": config, "choices": choices}
    if conversion:
        target = config or PostbackConfig(game=game, network=network, triggers=list(Trigger.values))
        result = preview.build_preview(conversion, target, addresses=sees_addresses(membership))
        context |= {"preview": result, "body": as_json(result.body) if result.body else ""}
    return page(request, "hub/preview/page.html", membership, **context)


@game_view(role=Role.MARKETER, methods=("GET", "HEAD", "POST"))
def dry_run_page(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """GET evaluates a stored postback, POST the settings of its form, even if they could not be saved."""
    ad_network, game = network_or_404(network), membership.game
    config = get_object_or_404(live_configs(game, network), pk=pk)
    if request.method == "POST":
        return _run_proposed(request, membership, ad_network, config)
    run = dry_run.run(proposed=config, current=None)
    context = {"network": ad_network, "config": config, "configs": list(live_configs(game, network)), "run": run}
    return page(request, "hub/preview/dry_run.html", membership, **context)


@game_view(role=Role.MARKETER, methods=("POST",))
def dry_run_new(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Evaluate the settings of the form for a new postback."""
    return _run_proposed(request, membership, network_or_404(network), None)


def _run_proposed(
    request: HubRequest, membership: Membership, network: Network, config: PostbackConfig | None
) -> HttpResponse:
    form = bound_form(network, request, game=membership.game, config=config)
    context: dict[str, Any] = {"network": network, "config": config, "problems": _problems(form), "is_proposed": True}
    if not context["problems"]:
        proposed = form.proposed().as_config(game=membership.game, existing=config)
        context["run"] = dry_run.run(proposed=proposed, current=config)
    return page(
        request, "hub/preview/_dry_run.html" if request.htmx else "hub/preview/dry_run.html", membership, **context
    )


def _problems(form: PostbackForm) -> list[str]:
    """Return the errors of the goals, else those of the other fields that a dry run uses."""
    rows = [f"Goal {row.number}: {problem}" for row in form.rows.forms for problem in row.problems]
    ignored = IGNORED_FIELDS | {field.name for field in form.credential_fields}
    relevant = {name: errors for name, errors in form.errors.items() if name not in ignored}
    return rows or [str(error) for errors in relevant.values() for error in errors]


@game_view(role=Role.MARKETER, methods=("POST",))
def test_conversion(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Send a test conversion and redirect to the page of the network's answer. The test code is never rendered."""
    game = membership.game
    form = SendTestForm(network_or_404(network), game, request.POST)
    try:
        if not form.is_valid():
            raise SettingsRefused(" ".join(f"{form[name].label}: {errors[0]}" for name, errors in form.errors.items()))
        check = credentials.request_test(requested_by=request.user, **form.cleaned_data)
    except SettingsRefused as refused:
        messages.error(request, f"Nothing was sent. {refused}")
        return redirect("integration", slug=game.slug, network=network)
    return redirect("check", slug=game.slug, network=network, pk=check.pk)
