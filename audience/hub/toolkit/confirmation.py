"""Forms that confirm an irreversible change by a typed name or id."""

from typing import Any

from django import forms

NAMESPACES = (("user", "User ID"), ("anonymous", "Anonymous ID"))
NO_SUGGESTIONS = {"autocomplete": "off", "spellcheck": "false"}


class TypedName(forms.Form):
    """Valid if exactly `expected` was typed; `refusal` is the end of the error message otherwise."""

    confirmation = forms.CharField(max_length=512, widget=forms.TextInput(attrs=NO_SUGGESTIONS))

    def __init__(self, *args: Any, expected: str, refusal: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected, self.refusal = expected, refusal
        field = self.fields["confirmation"]
        field.label = f"Enter {expected} to confirm"
        field.error_messages["required"] = f"Nothing was entered. {refusal}"

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if typed != self.expected:
            raise forms.ValidationError(f"This is not “{self.expected}”. {self.refusal}")
        return typed


def suppress_field() -> forms.BooleanField:
    """Return the checkbox of a suppression."""
    return forms.BooleanField(
        label="Refuse later events of this player",
        required=False,
        help_text="Events that arrive later with a user or anonymous ID that only this player has are rejected, and "
        "the receipt counts them.",
    )


class EraseForm(forms.Form):
    """The player to erase, typed twice because it cannot be undone."""

    namespace = forms.ChoiceField(label="Kind of ID", choices=NAMESPACES)
    subject = forms.CharField(label="ID", max_length=256, strip=False, widget=forms.TextInput(attrs=NO_SUGGESTIONS))
    confirmation = forms.CharField(
        label="Enter the ID again",
        max_length=256,
        strip=False,
        help_text="An erasure cannot be undone.",
        widget=forms.TextInput(attrs=NO_SUGGESTIONS),
    )
    suppress = suppress_field()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        subject, again = data.get("subject"), data.get("confirmation")
        if subject and again and subject != again:
            self.add_error("confirmation", "The IDs do not match. Nothing was erased.")
        return data


class ErasePersonForm(forms.Form):
    """The id of the player on the page, typed because it cannot be undone."""

    confirmation = forms.CharField(
        max_length=512,
        strip=False,
        widget=forms.TextInput(attrs=NO_SUGGESTIONS),
        error_messages={"required": "No ID was entered. Nothing was erased."},
    )
    suppress = suppress_field()

    def __init__(self, *args: Any, subject: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject
        self.fields["confirmation"].label = f"Enter {subject} to confirm"

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if typed != self.subject:
            raise forms.ValidationError("This is not the ID of this player. Nothing was erased.")
        return typed
