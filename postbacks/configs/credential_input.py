"""The input of one part of a credential."""

import re
from collections.abc import Collection
from typing import Any

from django import forms
from django.core.validators import MaxLengthValidator

from audience.wording.articles import with_article
from postbacks.configs.goal_definition import NO_SUGGESTIONS
from postbacks.networks.interface.credentials import CredentialField, json_object

# Reddit's tokens are JWTs of over 700 characters; far longer input is a mistake.
MAX_CREDENTIAL = 4096


class HiddenTextarea(forms.Textarea):
    """A Textarea that renders no value but `published` ones, which are no secret."""

    published: Collection[str] = ()

    def format_value(self, value: Any) -> str | None:
        return value if value in self.published else None


class CredentialInput(forms.CharField):
    """The input of one part of a credential. If `editing`, a blank secret means the stored one. `published` are values
    of a secret part that may be shown: those of presets."""

    def __init__(self, part: CredentialField, *, editing: bool, published: Collection[str] = ()) -> None:
        self.part, self.noun = part, part.label.lower()
        keep_help = "Leave blank to keep the stored one." if editing and part.kind != "plain" else ""
        # No max_length: the browser would cut pasted text silently.
        name = "token" if part.kind == "secret" else self.noun
        too_long = MaxLengthValidator(MAX_CREDENTIAL, f"This {name} is longer than %(limit_value)d characters.")
        super().__init__(
            label=part.label,
            help_text=keep_help or part.help,
            required=part.required and not editing,
            validators=[too_long],
            widget=_widget(part, published),
            initial=part.default,
        )

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        if self.part.kind == "json":
            return self._json(text)
        if self.part.choices:
            return self._choice(text)
        text = re.sub(r"^bearer\s+", "", text, flags=re.IGNORECASE) if self.part.kind == "secret" else text
        if text and not re.fullmatch(self.part.pattern, text):
            raise forms.ValidationError(self._malformed(text))
        return text

    def _choice(self, text: str) -> str:
        if text and text not in self.part.choices:
            raise forms.ValidationError("Select one of the choices.")
        return text

    def _malformed(self, text: str) -> str:
        if re.fullmatch(r"[!-~]+", text):
            return f"This does not look like {with_article(self.noun)}. {self.part.help}"
        return (
            f"This {self.noun} contains a space, a line break or another character that is not valid in a token. "
            "Copy it again."
        )

    def _json(self, text: str) -> str:
        parsed = json_object(text)
        missing = [name for name in self.part.members if not isinstance(parsed.get(name), str) or not parsed[name]]
        if text and (missing or not parsed):
            raise forms.ValidationError(f"The {self.noun} is incomplete. Paste the whole file.")
        return text


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
