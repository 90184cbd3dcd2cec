"""The forms of an upload of costs: the file, and which of its columns is which."""

from typing import Any

from django import forms

from postbacks.reporting.campaigns.cost_cells import COST_NETWORKS
from postbacks.reporting.campaigns.cost_files import (
    COLUMNS,
    REQUIRED,
    CostFile,
    CostsRefused,
    decoded,
    guess_columns,
    read_file,
)

MAX_BYTES = 1_000_000
# A file without a network or currency column is of one network, in one currency.
FROM_FORM = ("network", "currency")
HELP = {
    "date": "The day, such as 2026-11-01.",
    "network": "Such as tiktok or TikTok Ads.",
    "campaign": "The name or ID that your links have, such as in utm_campaign. Upper and lower case do not matter.",
    "spend": "The amount, such as 120.50.",
    "currency": "A code such as USD.",
    "clicks": "As the network counts them.",
    "impressions": "As the network counts them.",
    "campaign_id": "If your links have it, such as in campaign_id. Costs then match even if the name changes.",
}


class UploadForm(forms.Form):
    """A CSV file that `read_file` can read; `text` is its content after validation."""

    help_text = ""
    file = forms.FileField(
        label="CSV file",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
        error_messages={"required": "Choose a file.", "empty": "The file is empty."},
    )

    text = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].help_text = self.help_text

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_BYTES:
            raise forms.ValidationError("The file is larger than 1 MB. Split it, by month for example.")
        try:
            self.text = decoded(file.read())
            self.read_file(self.text)
        except CostsRefused as refused:
            raise forms.ValidationError(str(refused)) from None
        return file

    def read_file(self, text: str) -> CostFile:
        """Raises CostsRefused."""
        raise NotImplementedError


class CostUploadForm(UploadForm):
    help_text = (
        "With the columns date, network, campaign, spend and currency; clicks and impressions are optional. For "
        "exports with other column names, you select the columns after the upload. At most 1 MB."
    )

    def read_file(self, text: str) -> CostFile:
        return read_file(text)


class ColumnsForm(forms.Form):
    """Which column of the file is which. The file is in the form, so that nothing is stored before it is complete."""

    text = forms.CharField(widget=forms.HiddenInput, max_length=2 * MAX_BYTES, strip=False)
    name = forms.CharField(widget=forms.HiddenInput, max_length=200)

    def __init__(self, *args: Any, file: CostFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.file = file
        guessed = guess_columns(file.header)
        places = [(str(place), name or f"Column {place + 1}") for place, name in enumerate(file.header)]
        for column in COLUMNS:
            required = column in REQUIRED and column not in FROM_FORM
            self.fields[column] = forms.ChoiceField(
                label=column.capitalize().replace("_id", " ID"),
                choices=[("", "None")] + places,
                required=required,
                initial=str(guessed[column]) if column in guessed else "",
                help_text=HELP[column],
                error_messages={"required": f"Select the column with the {column}."},
            )
        networks = sorted(COST_NETWORKS.items(), key=lambda one: one[1])
        self.fields["all_network"] = forms.ChoiceField(
            label="Network of all lines",
            choices=[("", "None")] + networks,
            required=False,
            help_text="Used if the file has no network column, or where it is blank.",
        )
        self.fields["all_currency"] = forms.CharField(
            label="Currency of all lines",
            max_length=3,
            required=False,
            help_text="Used if the file has no currency column, or where it is blank.",
        )

    @property
    def mapped(self) -> dict[str, int]:
        return {column: int(self.cleaned_data[column]) for column in COLUMNS if self.cleaned_data.get(column)}

    @property
    def defaults(self) -> dict[str, str]:
        return {column: self.cleaned_data.get(f"all_{column}", "") for column in FROM_FORM}

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        for column in FROM_FORM:
            if not cleaned.get(column) and not cleaned.get(f"all_{column}"):
                self.add_error(column, f"Select the column with the {column}, or the {column} of all lines below.")
        return cleaned
