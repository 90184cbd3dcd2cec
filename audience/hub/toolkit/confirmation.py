"""Typing a name to confirm what cannot be undone, checked by the server."""

from typing import Any

from django import forms


class TypedName(forms.Form):
    """Valid if exactly `expected` was typed; `refusal` is the error message otherwise."""

    confirmation = forms.CharField(
        max_length=512,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, expected: str, refusal: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected, self.refusal = expected, refusal
        field = self.fields["confirmation"]
        field.label = f"Type {expected} to confirm"
        field.error_messages["required"] = f"Nothing was typed. {refusal}"

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if typed != self.expected:
            raise forms.ValidationError(f"This is not “{self.expected}”. {self.refusal}")
        return typed
