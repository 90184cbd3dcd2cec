"""Fields that several resources use."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import is_naive
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audience.api.toolkit.filtering import NO_OFFSET
from audience.ids import values

MAX_OVERLAP_HOURS = 168
MAX_ID_LENGTH = 256


class ParsedField(serializers.CharField):
    """Text that `parse` reads, which raises ValueError with the sentence of the error."""

    def __init__(self, parse: Callable[[str], str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parse = parse

    def to_internal_value(self, data: Any) -> str:
        try:
            return self.parse(super().to_internal_value(data))
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None


class TimeField(serializers.DateTimeField):
    """A time in ISO 8601 with an offset; without one, DRF would take it as UTC."""

    default_error_messages = {"no_offset": NO_OFFSET}

    def enforce_timezone(self, value: datetime) -> datetime:
        if is_naive(value):
            self.fail("no_offset")
        return super().enforce_timezone(value)


@extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
class ObjectField(serializers.JSONField):
    """Any JSON object, or null; in answers only."""


class PlayerIdField(serializers.CharField):
    """An ID of a player, cleaned and limited like those of messages."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": MAX_ID_LENGTH, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        value = values.clean(text)
        if not value:
            raise serializers.ValidationError("This is not an ID.")
        if not values.is_storable(value):
            raise serializers.ValidationError("It has characters that cannot be stored.")
        # Also as sent, as the document says, since cleaning removes characters.
        if max(values.length(value), len(text)) > MAX_ID_LENGTH:
            raise serializers.ValidationError(f"An ID has at most {MAX_ID_LENGTH} characters.")
        return value


class OverlapHours(serializers.IntegerField):
    """How many hours the old secret works beside the new one, 0 to 168; a timedelta when it is read."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = "How many hours the old one still works, 0 to 168. 0 ends it now."
        defaults: dict[str, Any] = {"min_value": 0, "max_value": MAX_OVERLAP_HOURS, "default": 24}
        super().__init__(**{**defaults, "help_text": help_text, **kwargs})


def overlap_of(data: dict[str, Any]) -> timedelta:
    """Return `overlap_hours` of a validated body."""
    return timedelta(hours=data["overlap_hours"])
