"""Stores touches: one row per click of a person, filled from every event that states the click.

The earliest event gives the time of the click. Of each fact the earliest value counts that is not blank, by (event
time, message id), so that the order of arrival does not matter: a pixel sets its cookie after the first page view.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from audience.database import bulk
from audience.digest import click_macros, clicks, named_parameters
from audience.digest.clicks import Click
from audience.models import Event, Game, Touch

# The time of a touch that is filled anew from its events.
UNSET = datetime(9999, 1, 1, tzinfo=UTC)
FACTS = ("parameter", "campaign", "page_url", "referrer", "ip", "user_agent", "browser_id")
# In the names of facts: each cookie is one.
COOKIE = "cookies."
COLUMNS = ("clicked_at", "message_id", *FACTS, "cookies", "is_repeated", "fact_times")

Stamp = tuple[datetime, str]
# The touches of (person, network, click key). LIMIT forces an index lookup per row.
STORED = """
SELECT touch.* FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS stated (person_id, network, click_key)
CROSS JOIN LATERAL (
  SELECT * FROM audience_touch
  WHERE (person_id, network, click_key) = (stated.person_id, stated.network, stated.click_key) LIMIT 1
) AS touch
"""


def store(
    *, game: Game, events: Sequence[Event], people: Mapping[int, uuid.UUID]
) -> tuple[set[uuid.UUID], dict[uuid.UUID, datetime]]:
    """Store the events' ad clicks and count their unfilled macros.

    Return the persons who clicked, and {person: time} of clicks that are new or are earlier than they were known.

    `people` has the person of each event, by its id.
    """
    stated: dict[tuple[uuid.UUID, str, str], Touch] = {}
    macros: dict[Event, dict[str, str]] = {}
    table = named_parameters.table_of(game)
    for event in events:
        click, unfilled = clicks.read_event_with_unfilled(event, game, table=table)
        if unfilled:
            macros[event] = unfilled
        if click:
            touch = _touch(game, event, people[event.pk], click)
            key = touch.person_id, touch.network, touch.click_key
            if key in stated:
                fill(stated[key], touch)
            else:
                stated[key] = touch
    click_macros.count(game, macros)
    return {person_id for person_id, _, _ in stated}, _save(stated)


def _touch(game: Game, event: Event, person_id: uuid.UUID, click: Click) -> Touch:
    facts = {name: getattr(click, name) for name in (*FACTS, "cookies", "is_repeated", "network", "click_id")}
    return Touch(
        game=game,
        person_id=person_id,
        click_key=click.key(event.message_id),
        clicked_at=event.event_at,
        message_id=event.message_id,
        **facts,
    )


def _save(stated: Mapping[tuple[uuid.UUID, str, str], Touch]) -> dict[uuid.UUID, datetime]:
    """Save touches by (person, network, click key): new rows, and what stored ones lack. The game must be locked.

    Return {person: time} as `store` does.
    """
    if not stated:
        return {}
    new = dict(stated)
    changed, earlier = [], []
    for touch in Touch.objects.raw(STORED, [list(column) for column in zip(*stated, strict=True)]):
        other, before = new.pop((touch.person_id, touch.network, touch.click_key), None), touch.clicked_at
        if other and fill(touch, other):
            changed.append(touch)
            earlier += [touch] if touch.clicked_at != before else []
    bulk.update(changed, COLUMNS)
    Touch.objects.bulk_create(new.values())
    rows = sorted([*new.values(), *earlier], key=lambda touch: touch.clicked_at, reverse=True)
    return {touch.person_id: touch.clicked_at for touch in rows}


def fill(touch: Touch, other: Touch) -> bool:
    """Add to a touch what another of the same click states, and return whether anything changed."""
    before = [getattr(touch, name) for name in COLUMNS]
    sources = [one for one in (touch, other) if one.clicked_at != UNSET] or [touch]
    earliest = min(sources, key=_stamp)
    facts: dict[str, tuple[Stamp, str, Any]] = {}
    for source in sources:
        for name, value in _facts(source):
            stated = (_stamp(source, name), str(value), value)
            facts[name] = min(facts.get(name, stated), stated, key=lambda one: one[:2])
    touch.is_repeated = all(one.is_repeated for one in sources)
    touch.clicked_at, touch.message_id = earliest.clicked_at, earliest.message_id
    clear(touch)
    for name, (stamp, _, value) in facts.items():
        if name.startswith(COOKIE):
            touch.cookies[name.removeprefix(COOKIE)] = value
        else:
            setattr(touch, name, value)
        if stamp != _stamp(touch):
            touch.fact_times[name] = [stamp[0].isoformat(), stamp[1]]
    return before != [getattr(touch, name) for name in COLUMNS]


def clear(touch: Touch) -> None:
    """Empty a touch of its facts."""
    for name in FACTS:
        setattr(touch, name, "" if name != "campaign" else {})
    touch.cookies, touch.fact_times = {}, {}


def unset(touches: Iterable[Touch]) -> None:
    """Have touches filled anew from their events; the caller saves them."""
    for touch in touches:
        touch.clicked_at = UNSET
        clear(touch)


def _facts(touch: Touch) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of the facts that are not blank."""
    yield from ((name, value) for name in FACTS if (value := getattr(touch, name)))
    yield from ((f"{COOKIE}{name}", value) for name, value in touch.cookies.items())


def _stamp(touch: Touch, fact: str = "") -> Stamp:
    """Return the time and message id of the event that stated the fact, by default those of the click."""
    if fact in touch.fact_times:
        at, message_id = touch.fact_times[fact]
        return datetime.fromisoformat(at), message_id
    return touch.clicked_at, touch.message_id
