"""Reads the events of a digest's batches. Most are completed in the database; only the others are returned.

Most events are progress of a known player under known ids, without traits, clicks or conversions. They only show that
the player was active. The query itself records that, since reading them takes longer than the rest of a digest.
"""

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, NamedTuple

import orjson
from django.db import connection

from audience.digest import active_quarters, click_ids, click_places, named_parameters
from audience.digest.event_ids import EventIds, event_ids
from audience.digest.stated_consent import CHANGES_CONSENT, LEVEL
from audience.ids.values import PLACEHOLDER_IDS
from audience.models import Event, Game
from audience.models.events import PLACEHOLDER_NOTE
from audience.models.people import ANONYMOUS, DEVICE, USER

# The identity of the id in `column`. LIMIT forces an index lookup per row: otherwise PostgreSQL plans a join, which
# with old statistics, without a new game's rows, compares every row with every other.
IDENTITY_OF = """LEFT JOIN LATERAL (
    SELECT id, person_id, owners, named_at, first_seen_at, value, spellings FROM audience_identity
    WHERE {column} <> ''
      AND (game_id, namespace, value) = (%(game)s, '{namespace}', audience_canonical_id({column})) LIMIT 1
  ) AS {name} ON true"""
# Whether an id is absent, or its spelling is known: spellings.record adds new ones.
IS_KNOWN = "({column} = '' OR {name}.value = {column} OR {column} = ANY({name}.spellings))"
BY_ANONYMOUS = IDENTITY_OF.format(column="anonymous_id", namespace=ANONYMOUS, name="a")
BY_USER = IDENTITY_OF.format(column="user_id", namespace=USER, name="u")
BY_DEVICE = IDENTITY_OF.format(column="device_id", namespace=DEVICE, name="d")
# The texts of a context that may state a click, joined.
CONTEXT_TEXTS = "concat_ws(' ', {})".format(", ".join(f"context ->> '{name}'" for name in click_places.CONTEXT_TEXTS))
# Whether an event may contain traits of its player, a device, a group of its own, a click or a conversion. A text is
# compared with the names of click parameters only if it has a query, also one that is percent-encoded: most have none,
# and comparing takes longer than all other conditions. SDKs send an empty campaign with every event.
IS_RELEVANT = f"""(kind IN ('identify', 'device', 'group') OR kind = 'track' AND name = ANY(%(counted)s)
  OR kind IN ('page', 'screen', 'alias') AND (traits <> '{{}}' OR context ? 'traits')
  OR coalesce(context -> 'campaign', '{{}}') NOT IN ('{{}}', 'null')
  OR {CONTEXT_TEXTS} ~ '=|%%3[Dd]' AND {CONTEXT_TEXTS} ~* %(clicks)s
  OR properties ?| %(click_names)s OR properties ?| %(urls)s AND properties::text ~* %(clicks)s)"""
# Whether the user is the owner of an id, or the latest of several, at the time of the events.
IS_OWNER = """({column} = '' OR {name}.person_id = u.person_id AND ({name}.owners = 'one'
      AND first_at >= {name}.named_at OR {name}.owners = 'several' AND first_at > {name}.named_at))"""
OWNER = """WHEN {name}.owners NOT IN ('', 'other')
      THEN CASE WHEN {name}.owners <> 'several' OR first_at >= {name}.named_at THEN {name}.person_id END"""
# The player of a group of events without links, if nothing about its ids is new; in the order of WeakOwners.player.
PLAYER = f"""CASE
    WHEN user_id <> '' THEN CASE WHEN {IS_OWNER.format(column="anonymous_id", name="a")}
      AND {IS_OWNER.format(column="device_id", name="d")} THEN u.person_id END
    {OWNER.format(name="a")}
    {OWNER.format(name="d")}
    WHEN (a.owners = 'other') IS NOT TRUE AND (d.owners = 'other') IS NOT TRUE
      AND least(a.person_id, d.person_id) = greatest(a.person_id, d.person_id) THEN least(a.person_id, d.person_id)
  END"""
# Whether an event without links has no usable id.
IS_UNNAMED = """lower(anonymous_id) = ANY(%(no_id)s) AND lower(user_id) = ANY(%(no_id)s)
      AND lower(device_id) = ANY(%(no_id)s)"""
# Whether events state a group in which their player is not a member yet: with many SDKs every event states it.
JOINS = f"""joining IS NOT NULL AND (links <> '' OR NOT ({IS_UNNAMED}))
  AND EXISTS (SELECT FROM unnest(group_ids) AS stated WHERE NOT EXISTS (
    SELECT FROM audience_group JOIN audience_group_members AS member ON member.group_id = audience_group.id
    WHERE (game_id, audience_group.group_id) = (%(game)s, stated) AND member.person_id = known.person_id))"""
# event: the needed columns, so that each event's JSON is decoded once.
# id_group: one row per combination of ids; events with links, or without any usable id, are not combined.
# joining: events that state nothing but the group that their player is in; `group_ids` are these groups.
# known: `person_id` is the player of these events. NULL if an id is new or was first seen later, or if the owner of a
#   weak id may change or depends on the time.
# counted: counts placeholders that were sent in place of ids.
# active: updates last_seen_at of known players.
# clicked: records when those of them who clicked an ad were active.
# least and greatest ignore NULL.
READ_GROUPS = f"""
WITH event AS MATERIALIZED (
  SELECT id, anonymous_id, user_id, least(event_at, received_at) AS event_at,
    CASE WHEN kind = 'device' THEN '' ELSE device_id END AS device_id,
    CASE WHEN links <> '[]' THEN links::text ELSE '' END AS links,
    context -> 'active' IS DISTINCT FROM 'false' AS is_active, {IS_RELEVANT} AS is_relevant, group_id,
    message_id, received_at, context -> '{PLACEHOLDER_NOTE}' AS placeholders, {LEVEL} AS level
  FROM audience_event WHERE id = ANY(%(ids)s) AND day BETWEEN %(first)s AND %(last)s
), id_group AS (
  SELECT anonymous_id, user_id, device_id, links, min(event_at) AS first_at, max(event_at) AS last_at,
    min(message_id) AS message_id, max(event_at) FILTER (WHERE is_active) AS active_at,
    array_agg(DISTINCT audience_quarter(event_at)) FILTER (WHERE is_active) AS quarters,
    array_agg(id) FILTER (WHERE is_relevant) AS events,
    array_agg(id) FILTER (WHERE group_id <> '' AND NOT is_relevant) AS joining,
    array_agg(DISTINCT group_id) FILTER (WHERE group_id <> '' AND NOT is_relevant) AS group_ids,
    min(nullif(level, '')) AS lowest, max(level) AS highest
  FROM event
  GROUP BY anonymous_id, user_id, device_id, links, CASE WHEN links <> '' OR {IS_UNNAMED} THEN id END
), known AS (
  SELECT id_group.*, CASE WHEN links = ''
    AND {IS_KNOWN.format(column="anonymous_id", name="a")} AND {IS_KNOWN.format(column="user_id", name="u")}
    AND {IS_KNOWN.format(column="device_id", name="d")}
    AND first_at >= greatest(a.first_seen_at, u.first_seen_at, d.first_seen_at)
    THEN {PLAYER} END AS person_id,
    {CHANGES_CONSENT} AS changes_consent
  FROM id_group
  {BY_ANONYMOUS}
  {BY_USER}
  {BY_DEVICE}
), counted AS (
  INSERT INTO audience_placeholdercount AS counted (game_id, starts_at, field, value, number)
  SELECT %(game)s, date_bin('1 hour', received_at, 'epoch'), key, left(value, 64), count(*)
  FROM (SELECT * FROM event WHERE jsonb_typeof(placeholders) = 'object') AS noted, jsonb_each_text(placeholders)
  GROUP BY 2, 3, 4
  ON CONFLICT (game_id, starts_at, field, value) DO UPDATE SET number = counted.number + excluded.number
), active AS (
  UPDATE audience_person SET last_seen_at = active_at
  FROM (SELECT person_id, max(active_at) AS active_at FROM known GROUP BY person_id) AS latest
  WHERE id = person_id AND active_at > last_seen_at
), clicked AS (
  {active_quarters.STORE.format(source="(SELECT person_id, unnest(quarters) AS quarter FROM known) AS seen")}
)
SELECT anonymous_id, user_id, device_id, links, first_at, last_at, message_id, active_at,
  coalesce(events, '{{}}') || CASE WHEN joins THEN joining ELSE '{{}}' END, person_id, changes_consent,
  coalesce(quarters, '{{}}')
FROM (SELECT *, {JOINS} AS joins FROM known) AS known
WHERE person_id IS NULL OR events IS NOT NULL OR changes_consent OR joins
"""


class ClaimedBatch(NamedTuple):
    """A batch that is being digested."""

    pk: int
    accepted: int
    first_day: date | None
    last_day: date | None
    event_ids: list[int]
    is_counted: bool = False


@dataclass
class EventGroup:
    """Events that name the same ids: the times of the first and the last, and the ids of the relevant ones.

    `message_id` is the smallest of them. `active_at` is the time of the last event of an active player, None without
    one. `person_id` is None until identity resolves it. `links_json` is '' for none. `changes_consent` as in
    stated_consent.py. `quarters` are the quarter hours of the events of an active player.
    """

    anonymous_id: str
    user_id: str
    device_id: str
    links_json: str
    first_at: datetime
    last_at: datetime
    message_id: str
    active_at: datetime | None
    events: list[int]
    person_id: uuid.UUID | None
    changes_consent: bool
    quarters: list[datetime]

    @cached_property
    def ids(self) -> EventIds:
        links = orjson.loads(self.links_json) if self.links_json else []
        return event_ids(self.anonymous_id, self.user_id, self.device_id, links)


def read(
    *, game: Game, batches: Iterable[ClaimedBatch], triggers: Iterable[str]
) -> tuple[list[EventGroup], list[Event]]:
    """Return the groups of events that need work, and the relevant events; record the activity of all others.

    An event is relevant if it may contain traits, a device, a new group, a click or a conversion. They are returned
    without `raw`, in order of time. `triggers` are the names of events that become conversions.
    """
    groups: list[EventGroup] = []
    events: list[Event] = []
    params: dict[str, Any] = {"game": game.pk, "no_id": ["", *PLACEHOLDER_IDS], **relevance_parameters(triggers, game)}
    # Grouped by the days of their batch, since an id is looked up in every partition of these days.
    by_days: dict[tuple[date | None, date | None], list[int]] = defaultdict(list)
    for batch in batches:
        by_days[batch.first_day, batch.last_day] += batch.event_ids
    for (first, last), ids in by_days.items():
        with connection.cursor() as cursor:
            cursor.execute(READ_GROUPS, {**params, "ids": ids, "first": first, "last": last})
            rows = [EventGroup(*row) for row in cursor.fetchall()]
        groups += rows
        if relevant_ids := [pk for group in rows for pk in group.events]:
            events += Event.objects.filter(pk__in=relevant_ids, day__gte=first, day__lte=last).defer("raw")
    for event in events:
        # Version 0.1.0 stored times without this bound.
        event.event_at = min(event.event_at, event.received_at)
    return groups, sorted(events, key=lambda event: (event.event_at, event.pk))


def relevance_parameters(triggers: Iterable[str], game: Game | None = None) -> dict[str, Any]:
    """Return the parameters of IS_RELEVANT. Names of click parameters in properties are found in two spellings.

    Without a game those that only some games name are not among them.
    """
    names = (*(named_parameters.table_of(game) if game else click_ids.CLICK_IDS), "utm_source")
    return {
        "counted": list(triggers),
        "clicks": "|".join(map(re.escape, names)),
        "click_names": [*names, *map(str.upper, names), *click_places.PROPERTIES_NAMES],
        "urls": list(click_places.PROPERTIES_URLS),
    }
