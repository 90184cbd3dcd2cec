"""The form behind "Add postback", driven by a network's own words."""

import re
from typing import Any, ClassVar, Protocol

from django import forms
from django.core.validators import MaxLengthValidator

from postbacks.deciding.goals import EventWords
from postbacks.networks.goal_forms import GoalRows

TRIGGERS = (("game_launch", "Game Launch (game_launch)"), ("purchase", "Purchase (purchase)"))
# Reddit's tokens are JWTs of 700 characters and more; far above that a paste is a mistake.
CREDENTIAL_MAX = 4096
# A code is pasted, never typed: no suggestions from the browser and no red underlines.
PASTED = {"autocomplete": "off", "spellcheck": "false"}


class FormWords(EventWords, Protocol):
    """The attributes of a Network that the form needs."""

    pixel_label: str
    pixel_pattern: str
    pixel_help: str
    credential_label: str
    credential_help: str
    test_code_label: str
    test_code_help: str


class PostbackForm(forms.Form):
    """Pixel, credential, triggers, further goals, enabled, test code.

    `editing=True`: a blank credential keeps the stored one. `rows` are those of the goals; `cleaned_data["goals"]` is
    the list as PostbackConfig.goals has it.
    """

    words: ClassVar[FormWords]

    pixel_id = forms.CharField(max_length=64, widget=forms.TextInput(attrs=PASTED))
    # No max_length: it becomes a maxlength attribute, and a browser silently cuts a paste to it.
    credential = forms.CharField(
        validators=[MaxLengthValidator(CREDENTIAL_MAX, "This token is longer than %(limit_value)d characters.")],
        widget=forms.PasswordInput(render_value=False, attrs=PASTED),
    )
    triggers = forms.MultipleChoiceField(
        label="Trigger events", choices=TRIGGERS, required=False, widget=forms.CheckboxSelectMultiple
    )
    # Not shown: the errors of the rows as a whole stand here, and what they say comes out here.
    goals = forms.Field(label="More goals", required=False, widget=forms.HiddenInput)
    enabled = forms.BooleanField(label="Enabled", required=False, initial=True)
    test_code = forms.CharField(max_length=128, required=False, widget=forms.TextInput(attrs=PASTED))

    def __init__(self, *args: Any, editing: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = self.words
        for name, label, text in (
            ("pixel_id", words.pixel_label, words.pixel_help),
            ("credential", words.credential_label, words.credential_help),
            ("test_code", words.test_code_label, words.test_code_help),
        ):
            self.fields[name].label, self.fields[name].help_text = label, text
        if editing:
            self.fields["credential"].required = False
            self.fields["credential"].help_text = "Leave blank to keep the stored one."

        self.rows = GoalRows(words, self.data if self.is_bound else {}, self.initial.get("goals", ()))

    def clean(self) -> dict[str, Any]:
        answers, (goals, wrong) = self.cleaned_data, self.rows.cleaned()
        answers["goals"] = goals
        if wrong:
            self.add_error("goals", "".join(f"Check goal {number}. " for number in wrong).strip())
        elif not goals and not answers.get("triggers") and "triggers" not in self.errors:
            self.add_error("triggers", "Select at least one trigger event.")
        return answers

    def clean_pixel_id(self) -> str:
        pixel: str = self.cleaned_data["pixel_id"]
        if not re.fullmatch(self.words.pixel_pattern, pixel):
            what = f"{self.words.label} {self.words.pixel_label[0].lower()}{self.words.pixel_label[1:]}"
            raise forms.ValidationError(f"This does not look like a {what}. {self.words.pixel_help}")
        return pixel

    def clean_credential(self) -> str:
        token = re.sub(r"^bearer\s+", "", self.cleaned_data["credential"], flags=re.IGNORECASE)
        if not re.fullmatch(r"[!-~]*", token):
            raise forms.ValidationError(
                f"This {self.words.credential_label.lower()} contains a space, a line break or another character "
                "that no token has. Copy it again."
            )
        return token


def postback_form(words: FormWords) -> type[PostbackForm]:
    """A PostbackForm class that speaks one network's words."""
    return type("PostbackForm", (PostbackForm,), {"words": words})
