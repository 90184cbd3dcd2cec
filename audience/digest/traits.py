"""Traits of persons. Per trait the later event wins, in any order of arrival."""

import json
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from audience.database import bulk
from audience.models import Event, Kind, Person


def apply(*, events: Sequence[Event], people: Mapping[int, uuid.UUID]) -> None:
    """Set the traits of identify events, with one query and one update for all persons."""
    by_person: dict[uuid.UUID, list[Event]] = defaultdict(list)
    for event in events:
        if event.kind == Kind.IDENTIFY and event.traits:
            by_person[people[event.pk]].append(event)
    persons = Person.objects.in_bulk(list(by_person))
    changed = [persons[pk] for pk, identify_events in by_person.items() if _apply_to(persons[pk], identify_events)]
    bulk.update(changed, ["traits", "trait_times"])


def _apply_to(person: Person, events: Sequence[Event]) -> bool:
    before = (dict(person.traits), dict(person.trait_times))
    for event in events:
        for name, value in event.traits.items():
            _set(person, name, value, event.event_at.isoformat())
    return before != (person.traits, person.trait_times)


def _set(person: Person, name: str, value: object, set_at: str) -> None:
    """Set a trait unless a later event has set it; an explicit null deletes it.

    Of two events at the same time the greater value wins, so that the order of arrival does not matter.
    """
    current = (datetime.fromisoformat(person.trait_times.get(name, set_at)), _tie_breaker(person.traits.get(name)))
    if current > (datetime.fromisoformat(set_at), _tie_breaker(value)):
        return
    person.trait_times[name] = set_at
    if value is None:
        person.traits.pop(name, None)
    else:
        person.traits[name] = value


def _tie_breaker(value: object) -> str:
    return "" if value is None else json.dumps(value, sort_keys=True)


def merge_into(remaining: Person, merged: Sequence[Person]) -> None:
    """Copy the losers' traits to the winner, each by the time it was set, and save it."""
    for other in merged:
        for name, set_at in other.trait_times.items():
            _set(remaining, name, other.traits.get(name), set_at)
        remaining.first_seen_at = min(remaining.first_seen_at, other.first_seen_at)
        remaining.last_seen_at = max(remaining.last_seen_at, other.last_seen_at)
    remaining.save(update_fields=["traits", "trait_times", "first_seen_at", "last_seen_at"])
