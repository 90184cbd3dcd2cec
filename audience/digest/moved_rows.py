"""Moves what earlier events added to players: conversions, clicks and traits go to the players of the events now."""

import uuid
from collections import defaultdict
from collections.abc import Container, Mapping
from typing import Any

import orjson
from django.db import connection

from audience.database import bulk
from audience.digest import clicks, named_parameters, touches
from audience.models import Conversion, Event, Game, Kind, Person, Touch

MOVED = """jsonb_to_recordset(%(rows)s) AS moved (message_id text, day date, person_id uuid)
WHERE game_id = %(game)s AND conversion.message_id = moved.message_id AND event_day = moved.day"""
# A conversion that was fanned out keeps its person. A launch is a repeat until conversions.choose_launches.
MOVE_CONVERSIONS = f"""
UPDATE audience_conversion conversion SET person_id = moved.person_id, moved_to_id = NULL, touch_id = NULL,
  fanned_out_at = NULL, reason = CASE WHEN reason IN ('erased', 'refund', 'test_traffic') THEN reason
    WHEN trigger = 'game_launch' AND NOT test THEN 'repeat_launch' ELSE '' END
FROM {MOVED} AND conversion.person_id <> moved.person_id AND (fanned_out_at IS NULL OR reason <> '')
"""
# NULL again if the event comes back to the person of its conversion.
RECORD_OWNER = f"""
UPDATE audience_conversion conversion SET moved_to_id = nullif(moved.person_id, conversion.person_id)
FROM {MOVED} AND moved_to_id IS DISTINCT FROM nullif(moved.person_id, conversion.person_id)
  AND (conversion.person_id = moved.person_id OR fanned_out_at IS NOT NULL AND reason = '')
"""


def move_conversions(game: Game, owners: Mapping[Event, uuid.UUID]) -> None:
    rows = [
        {"message_id": event.message_id, "day": event.day, "person_id": person_id}
        for event, person_id in owners.items()
        if event.kind == Kind.TRACK
    ]
    if rows:
        with connection.cursor() as cursor:
            params: dict[str, Any] = {"game": game.pk, "rows": orjson.dumps(rows).decode()}
            cursor.execute(RECORD_OWNER, params)
            cursor.execute(MOVE_CONVERSIONS, params)


def move_touches(game: Game, former: set[uuid.UUID], owners: Mapping[Event, uuid.UUID]) -> None:
    """Move the clicks whose events are another player's now, and have the touches of all these events filled anew."""
    clicked: dict[tuple[str, str], list[uuid.UUID]] = defaultdict(list)
    counting: set[tuple[str, str]] = set()
    table = named_parameters.table_of(game)
    for event, person_id in owners.items():
        if click := clicks.read_event(event, table=table):
            clicked[click.network, click.key(event.message_id)].append(person_id)
            # Others were stored before the game's setting changed.
            if clicks.read_event(event, game, table=table):
                counting.add((click.network, click.key(event.message_id)))
    keys = {key for _, key in clicked}
    players = {player for named in clicked.values() for player in named}
    rows = Touch.objects.filter(person_id__in=former | players, click_key__in=keys)
    known = {(touch.person_id, touch.network, touch.click_key): touch for touch in rows}
    changed = []
    for (person_id, network, click_key), touch in list(known.items()):
        named = clicked.get((network, click_key), [])
        if person_id not in former or not named:
            continue
        if person_id not in named:
            existing = known.setdefault((named[0], network, click_key), touch)
            if existing is not touch:
                Conversion.objects.filter(touch=touch).update(touch=existing)
                touch.delete()
                continue
            touch.person_id = named[0]
        changed.append(touch)
    touches.unset(touch for touch in changed if (touch.network, touch.click_key) in counting)
    bulk.update(changed, ["person", *touches.COLUMNS])


def remove_traits(person_ids: set[uuid.UUID], removed: Container[tuple[str, str]]) -> None:
    """Remove these traits of these persons: (name, ISO time at which it was set)."""
    changed = []
    for person in Person.objects.filter(pk__in=person_ids):
        names = [name for name, set_at in person.trait_times.items() if (name, set_at) in removed]
        for name in names:
            del person.trait_times[name]
            person.traits.pop(name, None)
        changed += [person] if names else []
    bulk.update(changed, ["traits", "trait_times"])
