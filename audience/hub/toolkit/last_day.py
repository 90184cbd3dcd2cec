"""The form field for the last day on which a key or token works."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms

from audience.database import clock

LATEST = date(2100, 1, 1)


class LastDayField(forms.DateField):
    """A day in UTC. Its value is the moment at which that day ends, None without one.

    `over` is the error message for a day in the past.
    """

    def __init__(self, *, over: str, **kwargs: Any) -> None:
        widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(label="Last day", required=False, widget=widget, **kwargs)
        self.over = over

    def prepare_value(self, value: Any) -> Any:
        return (value.astimezone(UTC) - timedelta(microseconds=1)).date() if isinstance(value, datetime) else value

    def clean(self, value: Any) -> Any:
        day = super().clean(value)
        if day is None:
            return None
        if day < clock.now().astimezone(UTC).date():
            raise forms.ValidationError(self.over)
        if day > LATEST:
            raise forms.ValidationError("Enter a day before 2100.")
        return datetime.combine(day + timedelta(days=1), time.min, UTC)
