"""Which failed deliveries to send again: postback, period and verdict."""

from datetime import datetime
from typing import Any

from django import forms

from postbacks.models import PostbackConfig
from postbacks.networks.interface.network import Verdict

VERDICTS = (
    ("", "Any"),
    (Verdict.CREDENTIAL.value, "Credential refused"),
    (Verdict.TRANSIENT.value, "Network not reached"),
    (Verdict.PAYLOAD.value, "Event refused"),
)


class MinuteInput(forms.DateTimeInput):
    """A minute in the browser's date picker, in UTC."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class ReplayForm(forms.Form):
    """`failed_from` and `failed_until` may be blank; both are in UTC."""

    config = forms.ModelChoiceField(PostbackConfig.objects.none(), label="Postback", empty_label=None)
    failed_from = forms.DateTimeField(required=False, widget=MinuteInput, label="Failed from (UTC)")
    failed_until = forms.DateTimeField(required=False, widget=MinuteInput, label="Failed before (UTC)")
    verdict = forms.ChoiceField(choices=VERDICTS, required=False, label="Kind of failure")

    def __init__(self, *args: Any, configs: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = self.fields["config"]
        assert isinstance(chosen, forms.ModelChoiceField)
        chosen.queryset = configs

    def clean_failed_until(self) -> datetime | None:
        end: datetime | None
        start, end = self.cleaned_data.get("failed_from"), self.cleaned_data["failed_until"]
        if start and end and end <= start:
            raise forms.ValidationError("This must be later than the start.")
        return end
