"""The forms of the key and privacy pages."""

from datetime import timedelta
from typing import Any

from django import forms

from audience.models import ApiKey, Dialect, Environment, KeyKind

# What a rotation offers, in seconds; audience/keys.py takes anything up to 7 days.
OVERLAPS = (
    (0, "End the old key now"),
    (3_600, "1 hour"),
    (86_400, "24 hours"),
    (259_200, "3 days"),
    (604_800, "7 days"),
)
NAMESPACES = (("user", "User ID"), ("anonymous", "Anonymous ID"))
NO_SUGGESTIONS = {"autocomplete": "off", "spellcheck": "false"}


class KeyForm(forms.ModelForm[ApiKey]):
    """What a new key is for."""

    class Meta:
        model = ApiKey
        fields = ["name", "kind", "environment", "dialect"]
        help_texts = {
            "name": "Where it will be used, such as “Unity client” or “Payment backend”.",
            "kind": "Publishable keys go into games and websites. Secret keys stay on your servers and may also erase.",
            "environment": "Events of a sandbox key are test traffic: shown here, never posted to an ad network.",
            "dialect": "Whose words the shared routes answer in.",
        }

    def choices(self) -> dict[str, Any]:
        """The form's answers as `create_key` takes them."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "kind": KeyKind(data["kind"]),
            "environment": Environment(data["environment"]),
            "dialect": Dialect(data["dialect"]),
        }


class RotateForm(forms.Form):
    """How long the old key goes on beside the new one."""

    overlap = forms.TypedChoiceField(
        label="Keep the old key working for",
        choices=OVERLAPS,
        coerce=lambda seconds: timedelta(seconds=int(seconds)),
        initial=86_400,
        widget=forms.RadioSelect,
    )


class EraseForm(forms.Form):
    """Whose data to erase, typed twice because it cannot be undone."""

    namespace = forms.ChoiceField(label="Kind of ID", choices=NAMESPACES)
    subject = forms.CharField(label="ID", max_length=256, strip=False, widget=forms.TextInput(attrs=NO_SUGGESTIONS))
    confirmation = forms.CharField(
        label="Type the ID again",
        max_length=256,
        strip=False,
        help_text="An erasure cannot be undone.",
        widget=forms.TextInput(attrs=NO_SUGGESTIONS),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        subject, again = data.get("subject"), data.get("confirmation")
        if subject and again and subject != again:
            self.add_error("confirmation", "This is not the same ID. Nothing was erased.")
        return data


class ForgetForm(forms.Form):
    """The id of the player on the page, typed because it cannot be undone."""

    confirmation = forms.CharField(
        max_length=512,
        strip=False,
        widget=forms.TextInput(attrs=NO_SUGGESTIONS),
        error_messages={"required": "No ID was typed. Nothing was erased."},
    )

    def __init__(self, *args: Any, subject: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject
        self.fields["confirmation"].label = f"Type {subject} to confirm"

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if typed != self.subject:
            raise forms.ValidationError("This is not the ID of this player. Nothing was erased.")
        return typed
