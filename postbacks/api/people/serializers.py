"""Representations of players."""

from typing import Any

from rest_framework import serializers

from audience.api.consent.serializers import DecisionSerializer, decision_values
from audience.api.events.serializers import EventLinkSerializer
from audience.api.toolkit.serializers import ReadSerializer
from audience.digest import id_history, traits
from audience.hub.toolkit.masking import masked
from audience.models import Dialect, Event, Kind
from audience.reporting.people import PersonRow
from consent.models import Level
from postbacks.api.conversions.representation import listed_values
from postbacks.api.conversions.serializers import AttributedClickSerializer, ConversionSerializer
from postbacks.reporting.player import PlayerData

EVENT_FIELDS = ("id", "day", "kind", "event_at", "received_at", "dialect", "test")


class PersonSerializer(ReadSerializer):
    """A player in a list, with the first of its IDs."""

    id = serializers.UUIDField()
    name = serializers.CharField(help_text="A trait; may be empty.")
    email = serializers.CharField(help_text="A trait; may be empty.")
    ids = EventLinkSerializer(many=True, help_text="At most four.")
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()


class PersonIdSerializer(EventLinkSerializer):
    """An ID of a player."""

    first_seen_at = serializers.DateTimeField()
    is_shared = serializers.BooleanField(help_text="Whether other players use it too.")
    note = serializers.CharField(help_text="When it was this player's, if it is shared.")


class LinkedEventSerializer(ReadSerializer):
    """The address of an event: /events/{day}/{id}."""

    id = serializers.IntegerField()
    day = serializers.DateField()


class LinkedIdsSerializer(ReadSerializer):
    """IDs that an event linked to the player."""

    event_at = serializers.DateTimeField()
    ids = EventLinkSerializer(many=True)
    description = serializers.CharField()
    user_id = serializers.CharField(help_text="The user whom the event names.")
    event = LinkedEventSerializer(allow_null=True, help_text="Null once it was deleted.")


class DeviceSerializer(ReadSerializer):
    device_id = serializers.CharField()
    has_push_token = serializers.BooleanField()
    updated_at = serializers.DateTimeField()


class GroupSerializer(ReadSerializer):
    group_id = serializers.CharField()
    updated_at = serializers.DateTimeField()


class PersonClickSerializer(AttributedClickSerializer):
    """A paid click."""

    page_url = serializers.CharField()


class PersonEventSerializer(LinkedEventSerializer):
    """An event of a player, without its content."""

    kind = serializers.ChoiceField(Kind.choices)
    name = serializers.CharField()
    event_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField()
    dialect = serializers.ChoiceField(Dialect.choices)
    test = serializers.BooleanField()


class PersonConsentSerializer(ReadSerializer):
    """The consent level for events that state none, and the decisions."""

    level = serializers.ChoiceField([choice for choice in Level.choices if choice[0] != Level.NOT_SET])
    decisions = DecisionSerializer(many=True)


class PersonDetailSerializer(ReadSerializer):
    """A player: at most 50 rows of each kind, the newest first; IDs the oldest first."""

    id = serializers.UUIDField()
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    traits = serializers.DictField()
    trait_times = serializers.DictField(child=serializers.DateTimeField(allow_null=True))
    ids = PersonIdSerializer(many=True)
    has_more_ids = serializers.BooleanField()
    linked_ids = LinkedIdsSerializer(many=True)
    devices = DeviceSerializer(many=True)
    groups = GroupSerializer(many=True)
    clicks = PersonClickSerializer(many=True)
    conversions = ConversionSerializer(many=True)
    events = PersonEventSerializer(many=True)
    consent = PersonConsentSerializer()


def row_values(row: PersonRow) -> dict[str, Any]:
    return {
        "id": row.person.pk,
        "name": row.name,
        "email": row.email,
        "ids": [{"namespace": name, "value": value} for name, value in row.ids],
        "first_seen_at": row.person.first_seen_at,
        "last_seen_at": row.person.last_seen_at,
    }


def detail_values(found: PlayerData, *, addresses: bool) -> dict[str, Any]:
    """Return the values of a player. Email addresses and phone numbers are masked unless `addresses`."""
    person = found.person
    times = {name: traits.time_of(set_at) for name, set_at in person.trait_times.items()}
    return {
        "id": person.pk,
        "first_seen_at": person.first_seen_at,
        "last_seen_at": person.last_seen_at,
        "traits": masked(person.traits, addresses=addresses),
        "trait_times": {masked(name, addresses=addresses): times.get(name) for name in person.traits},
        "ids": [
            {
                **_id(row.key[0], row.identity.as_sent, addresses),
                "first_seen_at": row.identity.first_seen_at,
                "is_shared": row.is_shared,
                "note": id_history.sharing_note(row),
            }
            for row in found.ids
        ],
        "has_more_ids": found.has_more_ids,
        "linked_ids": [
            {
                "event_at": joining.event_at,
                "ids": [_id(name, value, addresses) for name, value in joining.keys],
                "description": joining.description,
                "user_id": masked(joining.user_id, addresses=addresses, name="user"),
                "event": {"id": joining.event.pk, "day": joining.event.day} if joining.event else None,
            }
            for joining in found.joinings
        ],
        **_belongings(found, addresses),
        "conversions": [listed_values(row, addresses=addresses) for row in found.conversions],
        "events": [_event(event, addresses) for event in found.events],
        "consent": {
            "level": found.consent.value,
            "decisions": [decision_values(decision, addresses=addresses) for decision in found.decisions],
        },
    }


def _belongings(found: PlayerData, addresses: bool) -> dict[str, Any]:
    """Return the values of devices, groups and clicks."""
    return {
        "devices": [
            {
                "device_id": masked(device.device_id, addresses=addresses),
                "has_push_token": bool(device.token),
                "updated_at": device.updated_at,
            }
            for device in found.devices
        ],
        "groups": [
            {"group_id": masked(group.group_id, addresses=addresses), "updated_at": group.updated_at}
            for group in found.groups
        ],
        "clicks": [
            {
                "network": touch.network,
                "click_id": masked(touch.click_id, addresses=addresses),
                "parameter": touch.parameter,
                "clicked_at": touch.clicked_at,
                "campaign": masked(touch.campaign, addresses=addresses),
                "page_url": masked(touch.page_url, addresses=addresses),
            }
            for touch in found.clicks
        ],
    }


def _id(namespace: str, value: str, addresses: bool) -> dict[str, str]:
    return {"namespace": namespace, "value": masked(value, addresses=addresses, name=namespace)}


def _event(event: Event, addresses: bool) -> dict[str, Any]:
    values = {name: getattr(event, name) for name in EVENT_FIELDS}
    return {**values, "name": masked(event.name, addresses=addresses)}
