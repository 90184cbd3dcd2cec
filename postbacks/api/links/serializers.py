"""Representations of tracking links."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.games.links import MAX_NAME, LinkValues
from audience.models import LinkConsent, TrackingLink
from audience.models.links import MAX_DESTINATION, MAX_SLUG, MAX_TAG, UTM
from postbacks.reporting.links import addresses

# The name of the level that is the setting of the game.
GAME = "game"
CONSENT = [(level.value or GAME, level.label) for level in LinkConsent]
EXAMPLE: dict[str, Any] = {
    "id": 7,
    "name": "TikTok, launch trailer",
    "slug": "launch-trailer",
    "url": "https://afterclick.example/go/launch-trailer",
    "destination": "https://store.steampowered.com/app/480/",
    "kind": "Steam",
    "utm_source": "tiktok",
    "utm_medium": "cpc",
    "utm_campaign": "",
    "utm_term": "",
    "utm_content": "",
    "consent": "game",
    "clicks": 1204,
    "last_click_at": "2026-11-20T08:12:44Z",
    "addresses": [
        {
            "network": "reddit",
            "url": "https://afterclick.example/go/launch-trailer?utm_campaign={{CAMPAIGN_NAME}}",
        }
    ],
    "version": 1,
    "created_at": "2026-11-02T09:30:00Z",
    "updated_at": "2026-11-02T09:30:00Z",
    "archived_at": None,
}
ARCHIVED_EXAMPLE = {**EXAMPLE, "version": 2, "archived_at": "2026-11-21T10:00:00Z"}
WRITABLE_EXAMPLE = {
    "name": "TikTok, launch trailer",
    "slug": "launch-trailer",
    "destination": "https://store.steampowered.com/app/480/",
    "utm_source": "tiktok",
    "utm_medium": "cpc",
}


class TrackingLinkAddressSerializer(ReadSerializer):
    network = serializers.CharField()
    url = serializers.CharField(help_text="For the ads of the network, with its macros.")


class TrackingLinkSerializer(ReadSerializer):
    """A tracking link."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    slug = serializers.CharField()
    url = serializers.CharField()
    destination = serializers.CharField()
    kind = serializers.CharField(help_text="The store of the destination, or `Website`.")
    utm_source = serializers.CharField()
    utm_medium = serializers.CharField()
    utm_campaign = serializers.CharField()
    utm_term = serializers.CharField()
    utm_content = serializers.CharField()
    consent = serializers.SerializerMethodField(help_text=f"One of: {', '.join(value for value, _ in CONSENT)}.")
    clicks = serializers.SerializerMethodField()
    last_click_at = serializers.DateTimeField(allow_null=True)
    addresses = TrackingLinkAddressSerializer(many=True)
    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    archived_at = serializers.DateTimeField(allow_null=True)

    def get_consent(self, link: TrackingLink) -> str:
        return link.consent or GAME

    def get_clicks(self, link: TrackingLink) -> int:
        return link.clicks or 0

    def to_representation(self, link: TrackingLink) -> Any:
        """`link` is one of LinkQuerySet.with_clicks."""
        link.addresses = addresses(link)  # type: ignore[attr-defined]
        return super().to_representation(link)


class TrackingLinkTagsSerializer(StrictSerializer):
    utm_source = serializers.CharField(max_length=MAX_TAG, allow_blank=True, default="")
    utm_medium = serializers.CharField(max_length=MAX_TAG, allow_blank=True, default="")
    utm_campaign = serializers.CharField(max_length=MAX_TAG, allow_blank=True, default="")
    utm_term = serializers.CharField(max_length=MAX_TAG, allow_blank=True, default="")
    utm_content = serializers.CharField(max_length=MAX_TAG, allow_blank=True, default="")


class TrackingLinkCreateSerializer(TrackingLinkTagsSerializer):
    """A new link."""

    name = serializers.CharField(max_length=MAX_NAME)
    slug = serializers.CharField(
        max_length=MAX_SLUG, required=False, help_text="The end of its address. A random one by default."
    )
    destination = serializers.CharField(max_length=MAX_DESTINATION, help_text="An http or https URL.")
    consent = serializers.ChoiceField(CONSENT, default=GAME, help_text="What a click stores.")


class TrackingLinkChangeSerializer(TrackingLinkTagsSerializer):
    """What to change; what is left out stays. The slug cannot be changed."""

    name = serializers.CharField(max_length=MAX_NAME)
    destination = serializers.CharField(max_length=MAX_DESTINATION)
    consent = serializers.ChoiceField(CONSENT)


def values_of(data: dict[str, Any]) -> LinkValues:
    """Return the values of a validated body with all of them."""
    level = LinkConsent("" if data["consent"] == GAME else data["consent"])
    tags = {name: data[name] for name in UTM}
    return LinkValues(name=data["name"], destination=data["destination"], consent=level, **tags)
