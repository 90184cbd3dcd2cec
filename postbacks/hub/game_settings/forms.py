"""The forms of the page of a game's settings."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import forms

from audience.digest import money
from audience.models import Game
from audience.models.games import MAX_WINDOW_DAYS
from audience.wording import time_zones
from postbacks.networks import NETWORKS
from postbacks.reporting.campaigns import rates
from postbacks.reporting.campaigns.settings import ReportSettings, rates_text
from postbacks.reporting.labels import CLICK_LABELS

MAX_FILE_BYTES = 100_000
WINDOW_RANGE = f"Enter 1 to {MAX_WINDOW_DAYS} days."
WINDOW_ERRORS = {
    "required": WINDOW_RANGE,
    "min_value": WINDOW_RANGE,
    "max_value": WINDOW_RANGE,
    "invalid": "Enter a whole number of days.",
}
# The networks that clicks are of, in the order of the registry; a custom URL sends the clicks of others.
CLICK_NETWORKS = {
    kind: CLICK_LABELS[kind]
    for kind in (*NETWORKS, *CLICK_LABELS)
    if kind and (kind not in NETWORKS or NETWORKS[kind].click_param)
}


class GeneralForm(forms.ModelForm[Game]):
    """The name. It has no slug: that never changes."""

    class Meta:
        model = Game
        fields = ["name"]
        help_texts = {"name": "As your players know it. It is shown on every page and in every email about the game."}
        error_messages = {"name": {"required": "Enter a name."}}


class WindowForm(forms.Form):
    """The attribution window, and those of the clicks of single ad networks; an empty one is that of the game."""

    attribution_window_days = forms.IntegerField(
        label="Attribution window in days",
        min_value=1,
        max_value=MAX_WINDOW_DAYS,
        help_text="A conversion is attributed to the last paid click at most this many days before it.",
        error_messages=WINDOW_ERRORS,
    )

    def __init__(self, *args: Any, game: Game, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["attribution_window_days"] = game.attribution_window_days
        for kind, label in CLICK_NETWORKS.items():
            self.fields[f"window_{kind}"] = forms.IntegerField(
                label=f"Attribution window of {label} in days",
                min_value=1,
                max_value=MAX_WINDOW_DAYS,
                required=False,
                initial=game.network_windows.get(kind),
                widget=forms.NumberInput(attrs={"placeholder": game.attribution_window_days}),
                error_messages=WINDOW_ERRORS,
            )

    def of_network(self, kind: str) -> forms.BoundField:
        return self[f"window_{kind}"]

    @property
    def network_days(self) -> dict[str, int]:
        """The valid windows of single networks: {network: days}."""
        entered = {kind: self.cleaned_data.get(f"window_{kind}") for kind in CLICK_NETWORKS}
        return {kind: days for kind, days in entered.items() if days}


def _currency_choices() -> list[tuple[str, str]]:
    return [(code, f"{code} · {name}") for code, name in money.currencies()]


class ReportSettingsForm(forms.Form):
    """`parsed` are the rates after validation: {currency: rate}."""

    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=time_zones.choices,
        help_text="The days of Campaigns and Cohorts begin at midnight there.",
    )
    reporting_currency = forms.ChoiceField(
        label="Reporting currency",
        choices=_currency_choices,
        help_text="Totals of revenue and costs are in this currency. If you change it, change the exchange rates too.",
    )
    rates = forms.CharField(
        required=False,
        label="Exchange rates",
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "placeholder": "EUR 1.08"}),
        help_text="One per line: EUR 1.08 means that one euro equals 1.08 in the reporting currency. "
        "Amounts in currencies without a rate are shown, but not included in totals.",
    )

    def __init__(self, *args: Any, settings: ReportSettings, **kwargs: Any) -> None:
        kwargs["initial"] = {
            "time_zone": settings.time_zone,
            "reporting_currency": settings.reporting_currency,
            "rates": rates_text(settings.rates),
        }
        super().__init__(*args, **kwargs)
        self.parsed: dict[str, Decimal] = {}

    def clean_rates(self) -> str:
        text: str = self.cleaned_data["rates"]
        stated = rates.read_lines(text, currency=self.cleaned_data.get("reporting_currency", ""))
        if stated.errors:
            raise forms.ValidationError(list(error_texts(stated.errors)))
        self.parsed = stated.rates
        return text


class RatesFileForm(forms.Form):
    """A CSV file of rates; `parsed` are the rates after validation."""

    file = forms.FileField(
        label="Exchange rates as a CSV file",
        help_text="With the columns currency and rate. Rates of the currencies in the file are replaced, all others "
        "are kept. At most 100 KB.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
        error_messages={"required": "Choose a file.", "empty": "The file is empty."},
    )

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency
        self.parsed: dict[str, Decimal] = {}

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_FILE_BYTES:
            raise forms.ValidationError("The file is larger than 100 KB.")
        try:
            text = file.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise forms.ValidationError("The file is not in UTF-8. Save it as “CSV UTF-8”.") from None
        stated = rates.read_csv(text, currency=self.currency)
        if stated.errors:
            raise forms.ValidationError(["Nothing was saved.", *error_texts(stated.errors)])
        self.parsed = stated.rates
        return file


def error_texts(errors: list[tuple[int, str]]) -> Iterable[str]:
    """Yield the first errors as sentences, and how many more there are."""
    for line, problem in errors[: rates.MAX_ERRORS]:
        yield f"Line {line}: {problem}" if line else problem
    if len(errors) > rates.MAX_ERRORS:
        yield f"And {len(errors) - rates.MAX_ERRORS:,} more."
