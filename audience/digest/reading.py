"""What a digest reads of its batches: most events are done with in the database, and only the others come here.

Most events of a game are progress: of a player who is known, under ids that are all theirs, and without traits, a click
or a conversion. That the player was active is all they say, and PostgreSQL notes it itself: to carry them here and
back takes longer than all the rest of a digest.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import orjson
from django.db import connection

from audience.digest import clicks
from audience.digest.sightings import NOT_AN_ID, Key, keys_named
from audience.models import Event, Game
from audience.models.people import ANONYMOUS, DEVICE, USER

# What is known of the id in `column`. LIMIT keeps it a look into an index for each sighting: PostgreSQL would make a
# join of it, and with numbers of yesterday, which know nothing of a new game, one of every row with every other.
WHOSE = """LEFT JOIN LATERAL (
    SELECT id, person_id, first_seen_at FROM audience_identity
    WHERE {column} <> '' AND (game_id, namespace, value) = (%(game)s, '{namespace}', {column}) LIMIT 1
  ) AS {name} ON true"""
BY_ANONYMOUS = WHOSE.format(column="anonymous_id", namespace=ANONYMOUS, name="a")
BY_USER = WHOSE.format(column="user_id", namespace=USER, name="u")
BY_DEVICE = WHOSE.format(column="device_id", namespace=DEVICE, name="d")
# event: what is asked of each event, so that its JSON is unpacked once.
# sighting: the events that name the same ids. One with links, or without any usable id, stands alone.
# whose: `person_id` is the player whose all these ids are, since before the first of these events. It is NULL where
#   there is something to find out: an id is new, or was not seen as early, or is another player's than the next.
# active: of a player who is known nothing changes but when they were last seen.
# least and greatest pass over NULL.
SEE = f"""
WITH event AS MATERIALIZED (
  SELECT id, anonymous_id, user_id, least(event_at, received_at) AS event_at,
    CASE WHEN kind = 'device' THEN '' ELSE device_id END AS device_id,
    CASE WHEN links <> '[]' THEN links::text ELSE '' END AS links,
    context -> 'active' IS DISTINCT FROM 'false' AS is_active,
    kind IN ('identify', 'device', 'group') OR kind = 'track' AND name = ANY(%(counted)s)
      OR coalesce(strpos(context ->> 'page_url', '?'), 0) > 0 OR context ? 'campaign' OR properties ?| %(words)s
      AS matters
  FROM audience_event WHERE id = ANY(%(ids)s) AND day BETWEEN %(first)s AND %(last)s
), sighting AS (
  SELECT anonymous_id, user_id, device_id, links, min(event_at) AS first_at,
    max(event_at) FILTER (WHERE is_active) AS active_at, array_agg(id) FILTER (WHERE matters) AS events
  FROM event
  GROUP BY anonymous_id, user_id, device_id, links, CASE WHEN links <> ''
    OR lower(anonymous_id) = ANY(%(nobody)s) AND lower(user_id) = ANY(%(nobody)s) AND lower(device_id) = ANY(%(nobody)s)
    THEN id END
), whose AS (
  SELECT sighting.*, CASE WHEN links = ''
    AND (anonymous_id = '' OR a.id IS NOT NULL) AND (user_id = '' OR u.id IS NOT NULL)
    AND (device_id = '' OR d.id IS NOT NULL)
    AND least(a.person_id, u.person_id, d.person_id) = greatest(a.person_id, u.person_id, d.person_id)
    AND first_at >= greatest(a.first_seen_at, u.first_seen_at, d.first_seen_at)
    THEN least(a.person_id, u.person_id, d.person_id) END AS person_id
  FROM sighting
  {BY_ANONYMOUS}
  {BY_USER}
  {BY_DEVICE}
), active AS (
  UPDATE audience_person SET last_seen_at = active_at
  FROM (SELECT person_id, max(active_at) AS active_at FROM whose GROUP BY person_id) AS theirs
  WHERE id = person_id AND active_at > last_seen_at
)
SELECT anonymous_id, user_id, device_id, links, first_at, active_at, coalesce(events, '{{}}'), person_id
FROM whose WHERE person_id IS NULL OR events IS NOT NULL
"""


class Claimed(NamedTuple):
    """A batch that is being digested."""

    pk: int
    accepted: int
    first_day: date | None
    last_day: date | None
    event_ids: list[int]


class Sighting(NamedTuple):
    """Events that name the same ids: between when, and the ids of those that matter.

    `active_at` is the last one of a player who played, None when nobody did. `person_id` is None until identity has
    found out whose they are. `links_json` is '' for none.
    """

    anonymous_id: str
    user_id: str
    device_id: str
    links_json: str
    first_at: datetime
    active_at: datetime | None
    events: list[int]
    person_id: uuid.UUID | None

    @property
    def keys(self) -> list[Key]:
        links = orjson.loads(self.links_json) if self.links_json else []
        return keys_named(self.anonymous_id, self.user_id, self.device_id, links)


def read(*, game: Game, batches: Iterable[Claimed], counted: Iterable[str]) -> tuple[list[Sighting], list[Event]]:
    """(sightings that something is to be done about, events that matter); of all others it notes who was active.

    An event matters when traits, belongings, clicks or conversions may have a use for it; they come whole, but for the
    words they were sent in, and in the order they happened. `counted` are the names that make conversions.
    """
    sightings: list[Sighting] = []
    events: list[Event] = []
    given = {"game": game.pk, "counted": list(counted), "words": [*clicks.CLICK_IDS, *clicks.CAMPAIGN]}
    for (first, last), ids in _by_days(batches).items():
        found = _see({**given, "nobody": ["", *NOT_AN_ID], "ids": ids, "first": first, "last": last})
        sightings += found
        if matter := [pk for one in found for pk in one.events]:
            events += Event.objects.filter(pk__in=matter, day__gte=first, day__lte=last).defer("raw")
    for event in events:
        # Events that an earlier release stored were not bounded.
        event.event_at = min(event.event_at, event.received_at)
    return sightings, sorted(events, key=lambda event: (event.event_at, event.pk))


def _see(given: dict[str, Any]) -> list[Sighting]:
    with connection.cursor() as cursor:
        cursor.execute(SEE, given)
        return [Sighting._make(row) for row in cursor.fetchall()]


def _by_days(batches: Iterable[Claimed]) -> dict[tuple[date | None, date | None], Sequence[int]]:
    """Event ids by the days they lie between: an id is looked for in every partition of its days."""
    ids: dict[tuple[date | None, date | None], list[int]] = defaultdict(list)
    for batch in batches:
        ids[batch.first_day, batch.last_day] += batch.event_ids
    return dict(ids)
