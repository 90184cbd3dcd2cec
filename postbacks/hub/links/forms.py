"""The forms of a tracking link."""

from typing import Any

from django import forms

from audience.games.links import MAX_NAME, LinkValues
from audience.hub.toolkit.confirmation import NO_SUGGESTIONS
from audience.models import LinkConsent, TrackingLink
from audience.models.links import MAX_DESTINATION, MAX_SLUG, MAX_TAG, UTM

CONSENT = (
    (LinkConsent.GAME, "The setting of the game"),
    (LinkConsent.FULL, "Full: the player agreed before the click"),
    (LinkConsent.ANONYMOUS, "Anonymous: without IP address and browser"),
    (LinkConsent.NONE, "None: the click is only counted"),
)
TEXT = forms.TextInput(attrs=NO_SUGGESTIONS)


def tag(name: str, help_text: str = "") -> forms.CharField:
    return forms.CharField(label=name, required=False, max_length=MAX_TAG, help_text=help_text, widget=TEXT)


class LinkForm(forms.Form):
    """The changeable values of a link. `version` is that of the link that was shown."""

    use_required_attribute = False

    name = forms.CharField(
        max_length=MAX_NAME,
        help_text="Where you use the link, such as “TikTok, launch trailer”.",
        error_messages={"required": "Enter a name."},
    )
    destination = forms.CharField(
        max_length=MAX_DESTINATION,
        help_text="The page on Steam, Epic, itch.io or your website to which the link leads.",
        error_messages={"required": "Enter the page to which the link leads."},
        widget=forms.URLInput(attrs={"placeholder": "https://store.steampowered.com/app/480/", **NO_SUGGESTIONS}),
    )
    utm_source = tag("utm_source", "UTM parameters are added to the destination. An empty one is that of the ad’s URL.")
    utm_medium = tag("utm_medium")
    utm_campaign = tag("utm_campaign")
    utm_term = tag("utm_term")
    utm_content = tag("utm_content")
    consent = forms.TypedChoiceField(
        label="Consent",
        choices=CONSENT,
        coerce=LinkConsent,
        empty_value=LinkConsent.GAME,
        required=False,
        initial=LinkConsent.GAME,
        widget=forms.RadioSelect,
        help_text="What a click stores. A browser that sends Global Privacy Control is always treated as “None”. "
        "“Full” replaces an earlier decision of the same browser.",
    )
    version = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)

    def values(self) -> LinkValues:
        """Return the values of a valid form."""
        data = self.cleaned_data
        tags = {name: data[name] for name in UTM}
        return LinkValues(name=data["name"], destination=data["destination"], consent=data["consent"], **tags)


class NewLinkForm(LinkForm):
    """A new link, with the end of its address."""

    slug = forms.CharField(
        label="End of the address",
        required=False,
        max_length=MAX_SLUG,
        help_text="Letters a to z, digits and hyphens. It cannot be changed later. Empty for a random one.",
        widget=TEXT,
    )
    field_order = ("name", "destination", "slug")


def initial_of(link: TrackingLink) -> dict[str, Any]:
    """Return the values of the form that show a link."""
    return {name: getattr(link, name) for name in ("name", "destination", "consent", "version", *UTM)}
