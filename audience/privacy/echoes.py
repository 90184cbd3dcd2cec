"""What a text that somebody else wrote may repeat of a player: an error, or the answer of a network that is quoted."""

import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from audience.models import Device, Identity, Person, Touch

ELLIPSIS = "…"
# Shorter ones are words and numbers of everyone's.
SHORTEST = 4


def of_people(person_ids: Iterable[uuid.UUID]) -> list[str]:
    """The ids, traits, clicks and devices of these people that a text could repeat, the longest first."""
    ids = list(person_ids)
    found = {value for traits in Person.objects.filter(pk__in=ids).values_list("traits") for value in _texts(traits)}
    found.update(Identity.objects.filter(person_id__in=ids).values_list("value", flat=True))
    for columns in (
        Touch.objects.filter(person_id__in=ids).values_list("click_id", "ip", "user_agent", "browser_id"),
        Device.objects.filter(person_id__in=ids).values_list("device_id", "token"),
    ):
        found.update(value for row in columns for value in row)
    return sorted((value for value in found if len(value) >= SHORTEST), key=lambda value: (-len(value), value))


def without(text: str, values: Iterable[str]) -> str:
    """`text` with each of `values` cut out, however it is capitalised."""
    for value in values:
        text = re.sub(re.escape(value), ELLIPSIS, text, flags=re.IGNORECASE)
    return text


def _texts(value: Any) -> Iterator[str]:
    """The texts in a JSON value, and its numbers as text."""
    if isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
