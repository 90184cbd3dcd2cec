"""The input of one part of a credential."""

from collections.abc import Collection
from typing import Any

from django import forms

from postbacks.configs.credential_parts import read_part
from postbacks.configs.goal_definition import NO_SUGGESTIONS
from postbacks.configs.rules import SettingsRefused
from postbacks.networks.interface.credentials import CredentialField


class HiddenTextarea(forms.Textarea):
    """A Textarea that renders no value but `published` ones, which are no secret."""

    published: Collection[str] = ()

    def format_value(self, value: Any) -> str | None:
        return value if value in self.published else None


class CredentialInput(forms.CharField):
    """The input of one part of a credential. If `editing`, a blank secret means the stored one. `published` are values
    of a secret part that may be shown: those of presets."""

    def __init__(self, part: CredentialField, *, editing: bool, published: Collection[str] = ()) -> None:
        self.part = part
        keep_help = "Leave blank to keep the stored one." if editing and part.kind != "plain" else ""
        # No max_length: the browser would cut pasted text silently.
        super().__init__(
            label=part.label,
            help_text=keep_help or part.help,
            required=part.required and not editing,
            widget=_widget(part, published),
            initial=part.default,
        )

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        try:
            return read_part(self.part, text)
        except SettingsRefused as refused:
            raise forms.ValidationError(str(refused)) from refused


def _widget(part: CredentialField, published: Collection[str]) -> forms.Widget:
    if part.choices:
        return forms.Select(choices=list(part.choices.items()))
    if part.lines > 1 or part.kind == "json":
        attrs = {**NO_SUGGESTIONS, "rows": max(part.lines, 4 if part.kind == "json" else 2)}
        if part.kind == "plain":
            return forms.Textarea(attrs=attrs)
        hidden = HiddenTextarea(attrs=attrs)
        hidden.published = set(published) - {""}
        return hidden
    if part.kind == "plain":
        return forms.TextInput(attrs=NO_SUGGESTIONS)
    return forms.PasswordInput(render_value=False, attrs=NO_SUGGESTIONS)
