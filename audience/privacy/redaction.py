"""Removes a player's data from texts of other parties that may repeat it: errors and answers of networks."""

import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from audience.models import Device, Identity, Person, Touch

ELLIPSIS = "…"
# Shorter values are common words and numbers.
MIN_LENGTH = 4


def personal_values(person_ids: Iterable[uuid.UUID]) -> list[str]:
    """Return the ids, traits, click ids and devices of these persons, the longest first."""
    ids = list(person_ids)
    values = {value for traits in Person.objects.filter(pk__in=ids).values_list("traits") for value in _texts(traits)}
    values.update(Identity.objects.filter(person_id__in=ids).values_list("value", flat=True))
    for cookies in Touch.objects.filter(person_id__in=ids).values_list("cookies", flat=True):
        values.update(_texts(cookies))
    for columns in (
        Touch.objects.filter(person_id__in=ids).values_list("click_id", "ip", "user_agent"),
        Device.objects.filter(person_id__in=ids).values_list("device_id", "token"),
    ):
        values.update(value for row in columns for value in row)
    return sorted((value for value in values if len(value) >= MIN_LENGTH), key=lambda value: (-len(value), value))


def redact(text: str, values: Iterable[str]) -> str:
    """Return `text` with each of `values` replaced by an ellipsis, case-insensitively."""
    for value in values:
        text = re.sub(re.escape(value), ELLIPSIS, text, flags=re.IGNORECASE)
    return text


def _texts(value: Any) -> Iterator[str]:
    """Yield the strings of a JSON value, and its numbers as text."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
