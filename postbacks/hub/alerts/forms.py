"""The forms of the Alerts page and of webhooks."""

from datetime import timedelta

from django import forms

from postbacks.models import ALERT_EVENTS, AlertFrequency
from postbacks.monitoring.alerts import hook_events

# The choices of a rotation, in seconds; hooks.rotate_secret accepts any duration up to 7 days.
OVERLAPS = (
    (0, "End the old secret now"),
    (3_600, "1 hour"),
    (86_400, "24 hours"),
    (259_200, "3 days"),
    (604_800, "7 days"),
)


class ChoiceForm(forms.Form):
    """How the member receives alerts."""

    told = forms.ChoiceField(label="Email me about alerts", choices=AlertFrequency.choices, widget=forms.RadioSelect)


class EventsForm(forms.Form):
    """What a webhook is subscribed to."""

    events = forms.MultipleChoiceField(
        label="Events",
        choices=hook_events.choices,
        initial=ALERT_EVENTS,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Select at least one event."},
        help_text="Each event is one message. Messages about conversions contain the player’s own user ID. A chat "
        "server usually needs alerts only.",
    )


class HookForm(EventsForm):
    """The URL of a webhook, and what it is subscribed to."""

    url = forms.CharField(
        label="URL",
        max_length=500,
        help_text="An https:// URL of your own server, or of a chat server that accepts JSON with a “text”.",
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://"}),
    )
    field_order = ("url", "events")


class RotateForm(forms.Form):
    """How long the old secret signs beside the new one."""

    overlap = forms.TypedChoiceField(
        label="Sign with the old secret too for",
        choices=OVERLAPS,
        coerce=lambda seconds: timedelta(seconds=int(seconds)),
        initial=86_400,
        widget=forms.RadioSelect,
    )
