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
    changed = [
        persons[person_id] for person_id, identifies in by_person.items() if _apply_to(persons[person_id], identifies)
    ]
    bulk.update(changed, ["traits", "trait_times"])


def _apply_to(person: Person, events: Sequence[Event]) -> bool:
    before = (dict(person.traits), dict(person.trait_times))
    for event in events:
        for name, value in event.traits.items():
            _set(person, name, value, event.event_at.isoformat())
    return before != (person.traits, person.trait_times)


def _set(person: Person, name: str, value: object, at: str) -> None:
    """Set a trait unless a later event has set it; an explicit null deletes it.

    Of two events at the same time the greater value wins, so that the order of arrival does not matter.
    """
    known = (datetime.fromisoformat(person.trait_times.get(name, at)), _tie_breaker(person.traits.get(name)))
    if known > (datetime.fromisoformat(at), _tie_breaker(value)):
        return
    person.trait_times[name] = at
    if value is None:
        person.traits.pop(name, None)
    else:
        person.traits[name] = value


def _tie_breaker(value: object) -> str:
    return "" if value is None else json.dumps(value, sort_keys=True)


def merge_into(winner: Person, losers: Sequence[Person]) -> None:
    """Copy the losers' traits to the winner, each by the time it was set, and save it."""
    for loser in losers:
        for name, at in loser.trait_times.items():
            _set(winner, name, loser.traits.get(name), at)
        winner.first_seen_at = min(winner.first_seen_at, loser.first_seen_at)
        winner.last_seen_at = max(winner.last_seen_at, loser.last_seen_at)
    winner.save(update_fields=["traits", "trait_times", "first_seen_at", "last_seen_at"])
