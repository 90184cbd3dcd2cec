"""The form of the description of an event."""

from typing import Any

from django import forms

from audience.catalog.descriptions import MAX_NAME
from audience.models import DescribedEvent, PropertyType
from audience.models.described_events import MAX_DESCRIPTION

EXAMPLE = "level: number\nworld: text\ncoupon"
# What members may write for a type, in lower case.
WORDS = {
    **{kind.value: kind for kind in PropertyType},
    **{kind.label.lower(): kind for kind in PropertyType},
    "": PropertyType.ANY,
    "string": PropertyType.TEXT,
    "true/false": PropertyType.BOOLEAN,
}
TYPES = ", ".join(kind.value for kind in PropertyType)


class DescriptionForm(forms.Form):
    """`required` in the cleaned data is {path: PropertyType}; `version` is that of the description that was shown."""

    use_required_attribute = False

    name = forms.CharField(
        label="Event name",
        max_length=MAX_NAME,
        help_text="The exact name that your game sends, such as level_complete.",
        error_messages={"required": "Enter the name of the event."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    description = forms.CharField(
        required=False,
        max_length=MAX_DESCRIPTION,
        help_text="When the game sends it, and what it means.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    required = forms.CharField(
        label="Required properties",
        required=False,
        help_text=f"One per line with its type, such as level: number. Types: {TYPES}. Events without them are "
        "accepted, and the catalog warns of them. Write cart.total for a property inside another.",
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "placeholder": EXAMPLE}),
    )
    version = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)

    def clean_required(self) -> dict[str, PropertyType]:
        lines = [line.strip() for line in self.cleaned_data["required"].splitlines()]
        return dict(_required(line) for line in lines if line)


def _required(line: str) -> tuple[str, PropertyType]:
    path, colon, word = line.rpartition(":")
    if not colon:
        return line, PropertyType.ANY
    kind = WORDS.get(word.strip().lower())
    if kind is None:
        raise forms.ValidationError(f"“{word.strip()[:40]}” is not a type. Types: {TYPES}.")
    return path.strip(), kind


def initial_of(row: DescribedEvent | None, name: str) -> dict[str, Any]:
    """Return the values of the form that show a description, or a name without one."""
    if row is None:
        return {"name": name, "version": 0}
    return {
        "name": row.name,
        "description": row.description,
        "required": "\n".join(row.required),
        "version": row.version,
    }
