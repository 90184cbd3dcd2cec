"""The settings of reports: the time zone, the reporting currency and its exchange rates."""

from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect
from iso4217 import Currency

from audience.digest import money
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import ExchangeRate, Game, Membership, Role
from postbacks.reporting.campaigns import refresh

MAX_RATES = 200
MAX_RATE = Decimal(10) ** 11


@cache
def time_zones() -> list[tuple[str, str]]:
    """Return the time zones of places, and UTC."""
    names = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    return [(name, name.replace("_", " ")) for name in ["UTC", *names]]


def currencies() -> list[tuple[str, str]]:
    return sorted((one.code, f"{one.code} · {one.currency_name}") for one in Currency)


class ReportSettingsForm(forms.Form):
    """`parsed` are the rates after validation: {currency: rate}."""

    time_zone = forms.ChoiceField(
        label="Time zone", choices=time_zones, help_text="In which the days of Campaigns and Cohorts begin."
    )
    reporting_currency = forms.ChoiceField(
        label="Reporting currency", choices=currencies, help_text="Revenue and costs are added up in this currency."
    )
    rates = forms.CharField(
        required=False,
        label="Exchange rates",
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "placeholder": "EUR 1.08"}),
        help_text="A currency and its worth in the reporting currency per line: EUR 1.08 says that one euro is 1.08. "
        "Amounts in currencies without a rate are shown, but not added up.",
    )

    def clean_rates(self) -> str:
        self.parsed: dict[str, Decimal] = {}
        text: str = self.cleaned_data["rates"]
        for number, line in enumerate(text.splitlines(), 1):
            parts = (
                line.replace("=", " ")
                .replace(";", " ")
                .replace(",", " " if line.count(",") == 1 and "." in line else ".")
                .split()
            )
            if parts:
                self._read(number, parts)
        if len(self.parsed) > MAX_RATES:
            raise forms.ValidationError(f"At most {MAX_RATES} rates.")
        return text

    def _read(self, number: int, parts: list[str]) -> None:
        code = parts[0].upper()
        try:
            rate = Decimal(parts[1]) if len(parts) == 2 else Decimal(0)
        except InvalidOperation:
            rate = Decimal(0)
        if money.digits_of(code) is None:
            raise forms.ValidationError(f"Line {number}: {parts[0][:20]} is not a currency code such as EUR.")
        if not rate.is_finite() or not 0 < rate < MAX_RATE or round(rate, 8) == 0:
            raise forms.ValidationError(f"Line {number}: write a currency and a number, such as EUR 1.08.")
        self.parsed[code] = round(rate, 8)


@game_view(role=Role.MARKETER, methods=("GET", "HEAD", "POST"))
def report_settings(request: HubRequest, membership: Membership) -> HttpResponse:
    game = membership.game
    lines = "\n".join(f"{rate.currency} {rate.rate.normalize():f}" for rate in game.exchange_rates.all())
    initial = {"time_zone": game.time_zone, "reporting_currency": game.reporting_currency, "rates": lines}
    form = ReportSettingsForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        save(game, form.cleaned_data, form.parsed)
        messages.success(request, "The settings of reports are saved.")
        return redirect("campaigns", slug=game.slug)
    return page(request, "hub/campaigns/settings.html", membership, form=form)


@transaction.atomic
def save(game: Game, chosen: dict[str, Any], rates: dict[str, Decimal]) -> None:
    """Save the settings; in another time zone all days are computed again. Each change leaves an audit log entry."""
    if game.time_zone != chosen["time_zone"]:
        refresh.mark_again(game=game)
    game.time_zone, game.reporting_currency = chosen["time_zone"], chosen["reporting_currency"]
    game.save(update_fields=["time_zone", "reporting_currency"])
    stored = {rate.currency: rate for rate in game.exchange_rates.all()}
    for currency, rate in rates.items():
        row = stored.pop(currency, None) or ExchangeRate(game=game, currency=currency)
        if row.rate != rate:
            row.rate = rate
            row.save()
    for row in stored.values():
        row.delete()
