"""The filters of events in query parameters: those of Live events."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from audience.api.toolkit.fields import TimeField
from audience.api.toolkit.filtering import FlagParameter
from audience.api.toolkit.queries import PagedQuery
from audience.hub.events import click_macros, placeholders
from audience.hub.events.event_filter import EventFilter, Span
from audience.hub.toolkit.date_range import BEGINNING, END
from audience.models import Dialect, Game, Kind
from audience.models.goals import conversion_event_names

OLDEST, LATEST = "oldest", "latest"


class MessageQuery(PagedQuery):
    """The filters that events and rejections have in common."""

    kind = serializers.ChoiceField(Kind.choices, required=False)
    name = serializers.CharField(required=False, max_length=512, help_text="The name of the event, page or screen.")
    dialect = serializers.ChoiceField(Dialect.choices, required=False)
    key = serializers.IntegerField(required=False, min_value=1, help_text="The ID of an API key.")
    id = serializers.CharField(required=False, max_length=512, help_text="An ID of the player, in any namespace.")
    received_from = TimeField(required=False)
    received_until = TimeField(required=False, help_text="Not included.")


class EventQuery(MessageQuery):
    """The filters of events, and `follow`."""

    goals = FlagParameter(required=False, help_text="Only events whose name makes a conversion.")
    placeholder = serializers.CharField(
        required=False,
        max_length=512,
        help_text="Events of the last 7 days with a placeholder in place of an ID, such as `user_id:guest`.",
    )
    macro = serializers.CharField(
        required=False,
        max_length=512,
        help_text="Events of the last 7 days with a macro that the ad network did not replace: `ttclid=__CLICKID__`.",
    )
    happened_from = TimeField(required=False)
    happened_until = TimeField(required=False, help_text="Not included.")
    follow = serializers.ChoiceField(
        [(OLDEST, "From the oldest stored event"), (LATEST, "From now on")],
        required=False,
        help_text="Ascending: pages go on to the events that are stored next.",
    )

    def validate_placeholder(self, value: str) -> Any:
        return _parsed(placeholders.parse(value), "user_id:guest")

    def validate_macro(self, value: str) -> Any:
        return _parsed(click_macros.parse(value), "ttclid=__CLICKID__")


def _parsed(value: Any, example: str) -> Any:
    if value is None:
        raise serializers.ValidationError(f"Write it as {example}.")
    return value


def filter_of(query: Mapping[str, Any], game: Game, *, status: str) -> EventFilter:
    """Return the filter of a MessageQuery for one of the statuses of EventFilter."""
    names = tuple(sorted(conversion_event_names(game=game))) if query.get("goals") else ()
    return EventFilter(
        status=status,
        kind=query.get("kind", ""),
        name=query.get("name", ""),
        dialect=query.get("dialect", ""),
        key=query.get("key"),
        person=query.get("id", ""),
        placeholder=query.get("placeholder"),
        macro=query.get("macro"),
        names=names,
        received=_span(query, "received"),
        happened=_span(query, "happened"),
    )


def _span(query: Mapping[str, Any], name: str) -> Span | None:
    start, end = query.get(f"{name}_from"), query.get(f"{name}_until")
    return (start or BEGINNING, end or END) if start or end else None
