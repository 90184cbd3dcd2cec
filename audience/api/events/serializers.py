"""Representations of events."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer
from audience.digest.owned_ids import player_of
from audience.hub.events.conversion_of import conversion_of
from audience.hub.events.notes import EventNotes, take_notes
from audience.hub.toolkit.masking import masked
from audience.intake.messages.times import TimeNote
from audience.models import Dialect, Event, Kind

PAYLOAD = ("properties", "traits", "context", "integrations")
# The columns that are returned as they are, and those whose texts are masked.
PLAIN = ("id", "day", "kind", "event_at", "received_at", "key_id", "dialect", "surface", "origin", "consent_level")
TEXTS = ("message_id", "name", "user_id", "anonymous_id", "device_id", "session_id", "group_id")
EXAMPLE: dict[str, Any] = {
    "id": 88123,
    "day": "2026-11-20",
    "message_id": "server:order-7001",
    "kind": "track",
    "name": "purchase",
    "user_id": "player-42",
    "anonymous_id": "0c6b4a3e-8f5a-4d2c-b4a5-f60b0f6e1d2c",
    "device_id": "",
    "session_id": "",
    "group_id": "",
    "links": [],
    "event_at": "2026-11-20T08:12:44Z",
    "received_at": "2026-11-20T08:12:45.102Z",
    "key_id": 12,
    "dialect": "rudderstack",
    "surface": "",
    "origin": "",
    "test": False,
    "consent_level": "full",
    "time_note": "",
    "placeholders": {},
    "unfilled_macros": {},
    "properties": {"value": 9.99, "currency": "USD", "order_id": "7001"},
    "traits": {},
    "context": {"library": "backend/1.4"},
    "integrations": {},
}
DETAIL_EXAMPLE = {
    **EXAMPLE,
    "time_note_text": "",
    "person_id": "b0f6e1d2-0c6b-4a3e-8f5a-1d2c3b4a5f60",
    "conversion": {"id": "5a0a6a3e-5df5-4f0b-9d3a-6f2c1f0b7a55", "explanation": ""},
    "raw": {"type": "track", "event": "purchase", "properties": {"value": 9.99, "currency": "USD"}},
}


class EventLinkSerializer(ReadSerializer):
    """An ID that the event links to its player."""

    namespace = serializers.CharField()
    value = serializers.CharField()


class EventSerializer(ReadSerializer):
    """An event as it was understood."""

    id = serializers.IntegerField(help_text="In the order in which events were stored.")
    day = serializers.DateField(help_text="The UTC date of the client's own time. The address of the event has it.")
    message_id = serializers.CharField()
    kind = serializers.ChoiceField(Kind.choices)
    name = serializers.CharField(help_text="Of the event, page or screen.")
    user_id = serializers.CharField()
    anonymous_id = serializers.CharField()
    device_id = serializers.CharField()
    session_id = serializers.CharField()
    group_id = serializers.CharField()
    links = EventLinkSerializer(many=True)
    event_at = serializers.DateTimeField(help_text="Corrected by the client's clock, and never after the receipt.")
    received_at = serializers.DateTimeField()
    key_id = serializers.IntegerField(allow_null=True)
    dialect = serializers.ChoiceField(Dialect.choices)
    surface = serializers.CharField()
    origin = serializers.CharField(help_text="The origin of the web page; empty if no browser sent the event.")
    test = serializers.BooleanField()
    consent_level = serializers.CharField(help_text="As the message states it; empty if it states none.")
    time_note = serializers.ChoiceField(
        [("", "None"), *((note.value, note.value) for note in TimeNote)], help_text="Why the time was corrected."
    )
    placeholders = serializers.DictField(
        child=serializers.CharField(), help_text="What was sent in place of an ID, by field."
    )
    unfilled_macros = serializers.DictField(
        child=serializers.CharField(), help_text="Macros that the ad network did not replace, by parameter."
    )
    properties = serializers.DictField()
    traits = serializers.DictField()
    context = serializers.DictField()  # type: ignore[assignment]  # of the event
    integrations = serializers.DictField(help_text="The destinations that the sender allows.")


class EventConversionSerializer(ReadSerializer):
    """The conversion that an event made, or why it made none."""

    id = serializers.UUIDField(allow_null=True)
    explanation = serializers.CharField()


class EventDetailSerializer(EventSerializer):
    """An event with its player, its conversion and the original message."""

    time_note_text = serializers.CharField()
    person_id = serializers.UUIDField(allow_null=True, help_text="Null before it was processed.")
    conversion = EventConversionSerializer()
    raw = serializers.JSONField(help_text="The message as it was sent.")


def event_values(event: Event, *, addresses: bool) -> dict[str, Any]:
    """Return the values of an event. Email addresses are masked unless `addresses`."""
    return _values(event, take_notes(event), addresses)


def detail_values(event: Event, *, addresses: bool) -> dict[str, Any]:
    notes, of_event = take_notes(event), conversion_of(event)
    return {
        **_values(event, notes, addresses),
        "time_note_text": notes.time_note_text,
        "person_id": player_of(event),
        "conversion": {
            "id": of_event.conversion.pk if of_event.conversion else None,
            "explanation": of_event.explanation,
        },
        "raw": masked(event.raw, addresses=addresses),
    }


def _values(event: Event, notes: EventNotes, addresses: bool) -> dict[str, Any]:
    return {
        **{name: getattr(event, name) for name in PLAIN},
        **{name: masked(getattr(event, name), addresses=addresses, name=name) for name in TEXTS},
        "links": [
            {"namespace": name, "value": masked(value, addresses=addresses, name=name)} for name, value in event.links
        ],
        "test": event.test,
        "time_note": notes.time_note,
        "placeholders": notes.placeholders,
        "unfilled_macros": notes.macros,
        **{name: masked(getattr(event, name), addresses=addresses) for name in PAYLOAD},
    }
