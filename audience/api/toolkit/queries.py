"""Query parameters that several operations have: pages, times and days."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.dateparse import parse_date, parse_datetime
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audience.api.toolkit.filtering import QuerySerializer
from audience.api.toolkit.pagination import DEFAULT_LIMIT, MAX_LIMIT
from audience.hub.toolkit.range_input import FIRST_DAY, LAST_DAY, QUARTER, RangeError, read_entered
from audience.wording.days import DAY, Days, last_days, midnight
from audience.wording.time_zones import find_zone

DAY_OR_TIME = "Write a day such as 2026-11-01, or a time with its offset such as 2026-11-01T08:00:00Z."
MAX_DAYS = 366


@extend_schema_field({"type": "string", "example": "2026-11-01"})
class DayOrTimeField(serializers.CharField):
    """A day, as a date, or a time with an offset, as a datetime in UTC."""

    def to_internal_value(self, data: Any) -> date | datetime:  # type: ignore[override]  # a parsed value
        text = super().to_internal_value(data)
        try:
            value = parse_date(text) if len(text) <= len("2026-11-01") else _moment(text)
        except (ValueError, OverflowError):
            value = None
        if value is None:
            raise serializers.ValidationError(DAY_OR_TIME)
        if not FIRST_DAY.year <= value.year < LAST_DAY.year:
            raise serializers.ValidationError("Use a year from 2000 to 2099.")
        return value


@extend_schema_field({"type": "string", "example": "Europe/Berlin"})
class ZoneField(serializers.CharField):
    """A time zone by its IANA name."""

    def to_internal_value(self, data: Any) -> ZoneInfo:  # type: ignore[override]  # a parsed value
        zone = find_zone(super().to_internal_value(data))
        if zone is None:
            raise serializers.ValidationError("This is not a time zone. Use a name such as Europe/Berlin.")
        return zone


class PagedQuery(QuerySerializer):
    """The parameters of a list that is not a queryset with filters. For their values see pagination.py."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="How many rows a page has."
    )
    cursor = serializers.CharField(
        required=False, help_text="`next_cursor` of the page before; without it, the first page."
    )


class PeriodQuery(QuerySerializer):
    """`from`, `to` and `zone`: a period of days or times."""

    def get_fields(self) -> dict[str, Any]:
        return {
            "from": DayOrTimeField(required=False, help_text="The first day, or a time with an offset."),
            "to": DayOrTimeField(
                required=False, help_text="The last day, or a time with an offset, which is not included."
            ),
            "zone": ZoneField(required=False, help_text="The time zone of the days; the game's by default."),
            **super().get_fields(),
        }


class DaysQuery(QuerySerializer):
    """`from` and `to`: a period of whole days."""

    def get_fields(self) -> dict[str, Any]:
        return {
            "from": serializers.DateField(required=False, help_text="The first day."),
            "to": serializers.DateField(required=False, help_text="The last day; today by default."),
            **super().get_fields(),
        }


def times_of(query: Mapping[str, Any], *, zone: ZoneInfo, now: datetime, days: int) -> tuple[datetime, datetime]:
    """Return [since, until) of a PeriodQuery; by default of the last `days` days. Raises ValidationError."""
    zone, first, last = query.get("zone") or zone, query.get("from"), query.get("to")
    if first is None and last is None:
        starts = last_days(days, zone, now=now).starts
        return starts[0], starts[-1]
    last = now.astimezone(zone).date() if last is None else last
    if first is None:
        first = last.astimezone(zone).date() if isinstance(last, datetime) else last
    since = first if isinstance(first, datetime) else midnight(first, zone)
    until = last if isinstance(last, datetime) else midnight(last + DAY, zone)
    if since >= until:
        raise serializers.ValidationError({"from": ["This is not before the end."]})
    if until - since > timedelta(days=MAX_DAYS, hours=1):  # of the end of summer time
        raise serializers.ValidationError({"from": [f"A period has at most {MAX_DAYS} days."]})
    return since, until


def _moment(text: str) -> datetime | None:
    """Return the time in UTC, None without an offset. Raises ValueError and OverflowError."""
    moment = parse_datetime(text)
    # PostgreSQL refuses offsets of 16 hours and more.
    return moment.astimezone(UTC) if moment and moment.tzinfo else None


def quarter_hours(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Return the quarter hours that include a period."""
    start = since - timedelta(minutes=since.minute % 15, seconds=since.second, microseconds=since.microsecond)
    end = until + QUARTER - timedelta(microseconds=1)
    return start, end - timedelta(minutes=end.minute % 15, seconds=end.second, microseconds=end.microsecond)


def days_of(query: Mapping[str, Any], *, zone: ZoneInfo, now: datetime, days: int, max_days: int = MAX_DAYS) -> Days:
    """Return the days of a DaysQuery; by default the last `days` days. Raises ValidationError."""
    entered = {name: query[name].isoformat() for name in ("from", "to") if query.get(name)}
    if not entered:
        return last_days(days, zone, now=now)
    try:
        found = read_entered(entered, zone=zone, now=now, max_days=max_days).days
    except RangeError as error:
        raise serializers.ValidationError({next(iter(entered)): [str(error)]}) from None
    return found or last_days(days, zone, now=now)
