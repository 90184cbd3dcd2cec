"""Traits of persons. Per trait the later event wins, in any order of arrival, and an identify precedes other calls.

Pages, screens, aliases and groups repeat what a client has stored, which may be older than the newest identify. The
traits of a track event hold for that event only (conversion_traits).
"""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from audience.database import bulk
from audience.models import Event, Kind, Person

# Of calls other than identify that state traits of the player.
OTHER_KINDS = frozenset({Kind.PAGE, Kind.SCREEN, Kind.ALIAS, Kind.GROUP})
# The end of a time in Person.trait_times that such a call has set.
OTHER_MARK = " other"


class SetTrait(NamedTuple):
    """`set_at` is the value of Person.trait_times: an ISO time, with OTHER_MARK unless an identify set the trait."""

    name: str
    value: Any
    set_at: str


def apply(*, events: Sequence[Event], people: Mapping[int, uuid.UUID]) -> None:
    """Set the traits that events state of their players, with one query and one update for all persons."""
    by_person: dict[uuid.UUID, list[SetTrait]] = defaultdict(list)
    for event in events:
        if stated := list(of_player(event)):
            by_person[people[event.pk]] += stated
    persons = Person.objects.in_bulk(list(by_person))
    changed = [persons[pk] for pk, stated in by_person.items() if _apply_to(persons[pk], stated)]
    bulk.update(changed, ["traits", "trait_times"])


def of_player(event: Event) -> Iterator[SetTrait]:
    """Yield the traits that an event sets on its player. A null of a call other than identify sets nothing."""
    set_at = event.event_at.isoformat()
    if event.kind == Kind.IDENTIFY:
        for name, value in conversion_traits(event).items():
            yield SetTrait(name, value, set_at)
    elif event.kind in OTHER_KINDS:
        # A group's own traits are the group's.
        stated = _context_traits(event) if event.kind == Kind.GROUP else conversion_traits(event)
        for name, value in stated.items():
            if value is not None:
                yield SetTrait(name, value, set_at + OTHER_MARK)


def conversion_traits(event: Event) -> dict[str, Any]:
    """Return the traits that hold for the event: its own, then those of its context."""
    return {**_context_traits(event), **event.traits}


def _context_traits(event: Event) -> dict[str, Any]:
    stated = event.context.get("traits")
    return stated if isinstance(stated, dict) else {}


def time_of(set_at: str) -> datetime:
    """Return the time of a value of Person.trait_times."""
    return datetime.fromisoformat(set_at.removesuffix(OTHER_MARK))


def _apply_to(person: Person, stated: Sequence[SetTrait]) -> bool:
    before = (dict(person.traits), dict(person.trait_times))
    for trait in stated:
        _set(person, trait)
    return before != (person.traits, person.trait_times)


def _set(person: Person, trait: SetTrait) -> None:
    """Set a trait unless a later event or an identify has set it; an explicit null deletes it.

    Of two events at the same time the greater value wins, so that the order of arrival does not matter.
    """
    current = SetTrait(trait.name, person.traits.get(trait.name), person.trait_times.get(trait.name, trait.set_at))
    if _rank(current) > _rank(trait):
        return
    person.trait_times[trait.name] = trait.set_at
    if trait.value is None:
        person.traits.pop(trait.name, None)
    else:
        person.traits[trait.name] = trait.value


def _rank(trait: SetTrait) -> tuple[bool, datetime, str]:
    is_identified = not trait.set_at.endswith(OTHER_MARK)
    return is_identified, time_of(trait.set_at), "" if trait.value is None else json.dumps(trait.value, sort_keys=True)


def merge_into(remaining: Person, merged: Sequence[Person]) -> None:
    """Copy the merged persons' traits to the remaining one, each by the time it was set, and save it."""
    for other in merged:
        for name, set_at in other.trait_times.items():
            _set(remaining, SetTrait(name, other.traits.get(name), set_at))
        remaining.first_seen_at = min(remaining.first_seen_at, other.first_seen_at)
        remaining.last_seen_at = max(remaining.last_seen_at, other.last_seen_at)
    remaining.save(update_fields=["traits", "trait_times", "first_seen_at", "last_seen_at"])
