"""The page of a game's settings: all members read it, admins change one section at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from audience.accounts.members import admins_of
from audience.games import game_settings as changes
from audience.games.game_settings import SettingsChanged
from audience.hub.privacy.settings import RetentionForm, consent_form
from audience.hub.toolkit.access import HubRequest, game_view, has_role, page
from audience.models import Game, Membership, Role
from audience.storage.retention import first_kept_day
from postbacks.hub.game_settings.forms import (
    CLICK_NETWORKS,
    GeneralForm,
    RatesFileForm,
    ReportSettingsForm,
    WindowForm,
)
from postbacks.networks import NETWORKS
from postbacks.reporting.campaigns import rates
from postbacks.reporting.campaigns import settings as reports

SECTIONS = (changes.GENERAL, changes.ATTRIBUTION, changes.CONSENT, changes.RETENTION)


@game_view()
def game_settings(request: HubRequest, membership: Membership) -> HttpResponse:
    return _show(request, membership)


@game_view()
def report_settings(request: HubRequest, membership: Membership) -> HttpResponse:
    """Redirect from the earlier address of these settings."""
    return _return(membership.game, "reports")


@game_view()
def rates_sample(request: HubRequest, membership: Membership) -> HttpResponse:
    response = HttpResponse(rates.SAMPLE, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="exchange-rates-sample.csv"'
    return response


@game_view(role=Role.ADMIN, methods=("POST",))
def settings_general(request: HubRequest, membership: Membership) -> HttpResponse:
    game, seen = membership.game, request.POST.get("seen", "")
    # Of another instance: validation sets the name of the one it gets.
    form = GeneralForm(request.POST, instance=Game(pk=game.pk, slug=game.slug))
    if form.is_valid() and _is_saved(form, lambda: changes.rename_game(game=game, seen=seen, **form.cleaned_data)):
        messages.success(request, f"The name of the game is {game.name}.")
        return _return(game, "general")
    return _show(request, membership, section="general", form=form)


@game_view(role=Role.ADMIN, methods=("POST",))
def settings_reports(request: HubRequest, membership: Membership) -> HttpResponse:
    game, seen = membership.game, request.POST.get("seen", "")
    form = ReportSettingsForm(request.POST, settings=reports.settings_of(game))

    def save() -> None:
        zone, currency = form.cleaned_data["time_zone"], form.cleaned_data["reporting_currency"]
        reports.set_report_settings(
            game=game, time_zone=zone, reporting_currency=currency, rates=form.parsed, seen=seen
        )

    if form.is_valid() and _is_saved(form, save):
        messages.success(request, "The time zone, the reporting currency and the exchange rates are saved.")
        return _return(game, "reports")
    return _show(request, membership, section="reports", form=form)


@game_view(role=Role.ADMIN, methods=("POST",))
def settings_rates(request: HubRequest, membership: Membership) -> HttpResponse:
    """Store the exchange rates of a CSV file; none if a line has an error."""
    game, seen = membership.game, request.POST.get("seen", "")
    form = RatesFileForm(request.POST, request.FILES, currency=game.reporting_currency)
    if form.is_valid() and _is_saved(form, lambda: reports.add_rates(game=game, rates=form.parsed, seen=seen)):
        number = len(form.parsed)
        messages.success(request, f"{number} exchange {'rate is' if number == 1 else 'rates are'} saved.")
        return _return(game, "reports")
    return _show(request, membership, section="rates_file", form=form)


@game_view(role=Role.ADMIN, methods=("POST",))
def settings_attribution(request: HubRequest, membership: Membership) -> HttpResponse:
    game, seen = membership.game, request.POST.get("seen", "")
    form = WindowForm(request.POST, game=game)

    def save() -> None:
        days = form.cleaned_data["attribution_window_days"]
        changes.set_attribution_windows(game=game, days=days, network_days=form.network_days, seen=seen)

    if form.is_valid() and _is_saved(form, save):
        messages.success(request, f"The attribution window is {game.window_text} from now on.")
        return _return(game, "attribution")
    return _show(request, membership, section="attribution", form=form)


def _is_saved(form: forms.BaseForm, save: Callable[[], None]) -> bool:
    """Save a valid form; if the section changed meanwhile, add an error to the form and return False."""
    try:
        save()
    except SettingsChanged as changed:
        form.add_error(None, str(changed))
        return False
    return True


def _show(
    request: HubRequest, membership: Membership, *, section: str = "", form: forms.BaseForm | None = None
) -> HttpResponse:
    """Show the page; `form` is one of `section` that was posted and has errors."""
    game = membership.game
    of_reports = reports.settings_of(game)
    context: dict[str, Any] = {
        "admins": admins_of(game),
        "report_settings": of_reports,
        "rates": reports.rates_text(of_reports.rates, separator=", "),
        "kept_from": first_kept_day(game.kept_days) if game.kept_days else None,
    }
    if has_role(membership, Role.ADMIN):
        versions = {name: changes.version(game, name) for name in SECTIONS}
        context["seen"] = {**versions, "reports": of_reports.version, "rates_file": of_reports.version}
        context |= _forms(game, of_reports)
    if form is not None:
        context[section] = form
        if not form.non_field_errors():
            # Not read again: it may have changed since the editor saw it, of which no error told them.
            context["seen"][section] = request.POST.get("seen", "")
    context["windows"] = _windows(game, context.get("attribution"))
    return page(request, "hub/game_settings/page.html", membership, **context)


def _forms(game: Game, of_reports: reports.ReportSettings) -> dict[str, forms.BaseForm]:
    """Return the form of each section with the stored values."""
    return {
        "general": GeneralForm(instance=game),
        "reports": ReportSettingsForm(settings=of_reports),
        "rates_file": RatesFileForm(currency=game.reporting_currency),
        "attribution": WindowForm(game=game),
        "consent": consent_form(game),
        "retention": RetentionForm(initial={"kept_days": game.kept_days}),
    }


@dataclass(frozen=True, slots=True)
class WindowRow:
    """The window of a network's clicks; `field` for those who may change it. `max_age`: of events that it accepts."""

    label: str
    days: int
    field: forms.BoundField | None
    max_age: str


def _windows(game: Game, form: WindowForm | None) -> list[WindowRow]:
    return [
        WindowRow(
            label,
            game.window_of(kind).days,
            form.of_network(kind) if form else None,
            _age(NETWORKS[kind].max_age) if kind in NETWORKS else "",
        )
        for kind, label in CLICK_NETWORKS.items()
    ]


def _age(age: timedelta) -> str:
    return f"{age.days} {'day' if age.days == 1 else 'days'}"


def _return(game: Game, section: str) -> HttpResponse:
    return redirect(f"{reverse('game-settings', args=[game.slug])}#{section}")
