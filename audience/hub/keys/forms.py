"""The forms of the key pages."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms

from audience.games.keys import Restrictions
from audience.hub.toolkit.confirmation import NO_SUGGESTIONS
from audience.hub.toolkit.last_day import LastDayField
from audience.intake.requests.restrictions import parse_network, parse_origin
from audience.models import ApiKey, Dialect, Environment, KeyKind

# The choices of a rotation, in seconds; audience/games/keys.py accepts any duration up to 7 days.
OVERLAPS = (
    (0, "End the old key now"),
    (3_600, "1 hour"),
    (86_400, "24 hours"),
    (259_200, "3 days"),
    (604_800, "7 days"),
)
MAX_LINES = 100


class LinesField(forms.CharField):
    """A list of texts, one per line. `parse` returns a line as stored, or raises ValueError with the error to show."""

    widget = forms.Textarea

    def __init__(self, *, parse: Callable[[str], str], **kwargs: Any) -> None:
        super().__init__(required=False, widget=forms.Textarea(attrs={"rows": 3, **NO_SUGGESTIONS}), **kwargs)
        self.parse = parse

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> Any:
        lines = [line.strip() for line in super().clean(value).splitlines() if line.strip()]
        if len(lines) > MAX_LINES:
            raise forms.ValidationError(f"List at most {MAX_LINES}.")
        try:
            return list(dict.fromkeys(self.parse(line) for line in lines))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


def parse_event_name(text: str) -> str:
    if len(text) > 256 or "\x00" in text:
        raise ValueError("An event name has at most 256 characters.")
    return text


class RestrictionsForm(forms.Form):
    """The restrictions of a key; all optional."""

    allowed_events = LinesField(
        label="Event names",
        parse=parse_event_name,
        help_text="One name per line, in the exact spelling. The key can then send track events with these names "
        "only. Leave out “purchase” so that nobody can report a purchase with this key. Pages, identify, alias and "
        "groups are not restricted, because they do not create conversions.",
    )
    allowed_origins = LinesField(
        label="Origins",
        parse=parse_origin,
        help_text="One origin per line, such as https://game.example or https://*.game.example. Requests from other "
        "web pages are rejected, and so are requests without an origin, such as those of backends and of games outside "
        "a browser. Only browsers send a reliable origin, so this blocks other websites, but no other clients.",
    )
    allowed_addresses = LinesField(
        label="IP addresses",
        parse=parse_network,
        help_text="One address or range per line, such as 192.0.2.7 or 2001:db8::/48. Use this for server keys: "
        "players do not have fixed addresses.",
    )
    ends_on = LastDayField(
        over="This day is over. To end a key immediately, revoke it.",
        help_text="The key works until the end of this day (UTC). The game’s admins get an email a week before.",
    )

    def restrictions(self) -> Restrictions:
        """Return the Restrictions of a valid form."""
        data = self.cleaned_data
        return Restrictions(
            events=data["allowed_events"],
            origins=data["allowed_origins"],
            addresses=data["allowed_addresses"],
            expires_at=data.get("ends_on"),
        )


class KeyForm(forms.ModelForm[ApiKey], RestrictionsForm):
    """The attributes and restrictions of a new key."""

    class Meta:
        model = ApiKey
        fields = ["name", "kind", "environment", "dialect"]
        help_texts = {
            "name": "Where it will be used, such as “Unity client” or “Payment backend”.",
            "kind": "Publishable keys go into games and websites and are public: anyone who opens your game or site "
            "can read the key and send events with it, including purchases of any value, which are sent to the ad "
            "network and counted as revenue. Server keys also send events and stay on your servers: report purchases "
            "with one. Secret keys stay on your servers and can erase players.",
            "environment": "Events of a sandbox key are test traffic: shown here, never sent to an ad network.",
            "dialect": "Response format on shared routes.",
        }

    def attributes(self) -> dict[str, Any]:
        """Return the keyword arguments for `create_key`."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "kind": KeyKind(data["kind"]),
            "environment": Environment(data["environment"]),
            "dialect": Dialect(data["dialect"]),
            "restrictions": self.restrictions(),
        }


class KeyChangeForm(RestrictionsForm):
    """The changeable attributes of a key. The end of a rotated key cannot be changed."""

    name = forms.CharField(max_length=80)
    field_order = ("name", "allowed_events", "allowed_origins", "allowed_addresses", "ends_on")

    def __init__(self, *args: Any, key: ApiKey, **kwargs: Any) -> None:
        initial = {
            "name": key.name,
            "allowed_events": key.allowed_events,
            "allowed_origins": key.allowed_origins,
            "allowed_addresses": key.allowed_addresses,
            "ends_on": key.expires_at,
        }
        kwargs["initial"] = initial
        super().__init__(*args, **kwargs)
        if key.replaced_by_id is not None:
            del self.fields["ends_on"]


class RenameForm(forms.Form):
    """The name of a key."""

    name = forms.CharField(
        max_length=80,
        help_text="Where it is used, such as “Unity client” or “Payment backend”. Requests with the key still work.",
    )


class RotateForm(forms.Form):
    """How long the old key works beside the new one."""

    overlap = forms.TypedChoiceField(
        label="Keep the old key working for",
        choices=OVERLAPS,
        coerce=lambda seconds: timedelta(seconds=int(seconds)),
        initial=86_400,
        widget=forms.RadioSelect,
    )
