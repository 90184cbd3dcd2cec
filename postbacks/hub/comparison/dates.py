"""The days of a comparison in the URL, which are whole days in the time zone of the ad account."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from audience.database import clock
from audience.hub.toolkit.range_input import RangeError, read_entered
from audience.wording.days import Days

MAX_DAYS = 92


def read_days(request: HttpRequest, zone: ZoneInfo) -> Days:
    """Return the days of the URL. Raises RangeError."""
    entered = read_entered(request.GET, zone=zone, now=clock.now(), max_days=MAX_DAYS)
    if entered.days is None:
        raise RangeError("A comparison covers whole days. Remove the times.")
    return replace(entered.days, zone=zone)
