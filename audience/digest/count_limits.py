"""Limits what a client can make the event catalog store: names, properties and SDKs are the client's own texts.

What is beyond a limit is counted together (audience/models/event_counts.py), and so is a name that contains an address.
A row that is stored is never displaced, and the names of conversion events are stored beyond the limit, so that
invented names hide neither. Most rows are stored already, and only the others are compared with the limits.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Sequence
from typing import Any

from django.db.models import Count, QuerySet

from audience.digest.count_tables import EVENT_KEYS, Counts, Key
from audience.models import EventCount, Game, Kind, PropertyCount, SenderCount
from audience.models.event_counts import MAX_PATH, OTHER_KIND, OTHER_LIBRARY, OTHER_PATH

# Names of track events per game, day and `test`.
MAX_NAMES = 500
# Per event name and day: combinations of key and SDK; properties.
MAX_SENDERS = 20
MAX_PROPERTIES = 100
# Rows of properties and types of all names together, per game, day and `test`.
MAX_PROPERTY_ROWS = 5_000
# An email address, and what looks like a phone number.
EMAIL = re.compile(r"\S(@|%40)\w")
PHONE = re.compile(r"\+?\d[\d ().-]{5,}\d")

# The keys of EventCount.
EVENT = tuple(EVENT_KEYS)
EVENT_LENGTH, TEST = len(EVENT), 2


def has_address(text: str) -> bool:
    """Whether a name, or a part of a path, is no name but a player's address."""
    return bool(EMAIL.search(text) or any(PHONE.fullmatch(part) for part in text.split(".")))


def store(*, game: Game, events: Counts, senders: Counts, properties: Counts, always: Container[str]) -> None:
    """Add the counts of one digest; `always` are names that are stored beyond the limit."""
    others = _store_events(game, events, always)
    _store_senders(game, _moved(senders, others))
    for key in [key for key in properties.numbers if key[:EVENT_LENGTH] in others]:
        del properties.numbers[key]
    _store_properties(game, properties)


def _store_events(game: Game, counts: Counts, always: Container[str]) -> set[Key]:
    """Return the keys of the events that are counted together."""
    others: set[Key] = set()
    if new := counts.update(game.pk):
        tracked = EventCount.objects.filter(game=game, kind=Kind.TRACK, day__in=_days(new))
        stored = _numbers(tracked, EVENT[:TEST])
        for key in _most_frequent(new, counts):
            kind, name = key[TEST:]
            is_limited = kind == Kind.TRACK and name not in always
            if is_limited and (has_address(name) or stored[key[:TEST]] >= MAX_NAMES):
                others.add(key)
            stored[key[:TEST]] += kind == Kind.TRACK
        _insert(game, counts, new, lambda key: (*key[:TEST], OTHER_KIND, "") if key in others else key)
    return others


def _store_senders(game: Game, counts: Counts) -> None:
    if new := counts.update(game.pk):
        stored = _numbers(_of_events(SenderCount, game, new), EVENT)
        others: set[Key] = set()
        for key in _most_frequent(new, counts):
            *event, _, library, version = key
            if EMAIL.search(library) or EMAIL.search(version) or stored[tuple(event)] >= MAX_SENDERS:
                others.add(key)
            stored[tuple(event)] += 1
        _insert(game, counts, new, lambda key: (*key[:-2], OTHER_LIBRARY, "") if key in others else key)


def _store_properties(game: Game, counts: Counts) -> None:
    new = counts.update(game.pk)
    if not new:
        return
    rows = _numbers(PropertyCount.objects.filter(game=game, day__in=_days(new)), EVENT[:TEST])
    paths: dict[Key, set[str]] = defaultdict(set)
    for *event, path in _of_events(PropertyCount, game, new).values_list(*EVENT, "path").distinct():
        paths[tuple(event)].add(path)
    others: set[Key] = set()
    for key in _most_frequent(new, counts):
        event, path = key[:EVENT_LENGTH], key[EVENT_LENGTH]
        is_beyond = path not in paths[event] and len(paths[event]) >= MAX_PROPERTIES
        is_nameless = path == OTHER_PATH or len(path) > MAX_PATH or has_address(path)
        if is_beyond or is_nameless or rows[key[:TEST]] >= MAX_PROPERTY_ROWS:
            others.add(key)
            continue
        paths[event].add(path)
        rows[key[:TEST]] += 1
    _insert(game, counts, new, lambda key: (*key[:EVENT_LENGTH], OTHER_PATH, "") if key in others else key)


def _moved(counts: Counts, others: set[Key]) -> Counts:
    """Return the counts with the events of `others` counted together."""
    if not others:
        return counts
    moved = Counts(counts.table)
    for key, number in counts.numbers.items():
        event = key[:EVENT_LENGTH]
        moved.add((*event[:TEST], OTHER_KIND, "", *key[EVENT_LENGTH:]) if event in others else key, number)
    return moved


def _insert(game: Game, counts: Counts, new: Sequence[Key], counted_as: Callable[[Key], Key]) -> None:
    inserted = Counts(counts.table)
    for key in new:
        inserted.add(counted_as(key), counts.numbers[key], counts.last_at.get(key))
    inserted.insert(game.pk)


def _most_frequent(keys: Sequence[Key], counts: Counts) -> list[Key]:
    return sorted(keys, key=lambda key: (-counts.numbers[key], key))


def _days(keys: Sequence[Key]) -> set[Any]:
    return {key[0] for key in keys}


def _of_events(model: type[Any], game: Game, keys: Sequence[Key]) -> QuerySet[Any]:
    """Return the stored rows of the events of `keys`, and some of other events."""
    names = {key[EVENT_LENGTH - 1] for key in keys}
    rows: QuerySet[Any] = model.objects.filter(game=game, day__in=_days(keys), name__in=names)
    return rows


def _numbers(rows: QuerySet[Any], columns: Sequence[str]) -> Counter[Key]:
    """Return {values of the columns: number of rows}."""
    return Counter({tuple(key): number for *key, number in rows.values_list(*columns).annotate(Count("pk"))})
