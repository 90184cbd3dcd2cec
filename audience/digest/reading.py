"""The events of some batches: of each who it is about and when, and whole only those that say more than that.

Most events of a game are progress: they name a player and bring neither traits nor a click nor a conversion. What
they carry stays in the database, since unpacking it takes longer than everything else the digest does with them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple

import orjson
from django.db import connection

from audience.digest import clicks
from audience.models import Batch, Event

# `matters` holds for every event that traits, belongings, clicks or conversions may have a use for.
SEEN = """
SELECT id, kind, anonymous_id, user_id, device_id, CASE WHEN links <> '[]' THEN links::text ELSE '' END,
  event_at,
  context -> 'active' IS DISTINCT FROM 'false',
  kind IN ('identify', 'device', 'group') OR kind = 'track' AND name = ANY(%(counted)s)
    OR coalesce(strpos(context ->> 'page_url', '?'), 0) > 0 OR context ? 'campaign' OR properties ?| %(words)s
FROM audience_event WHERE id = ANY(%(ids)s) AND day BETWEEN %(first)s AND %(last)s
"""


class Seen(NamedTuple):
    """What the digest knows of every event. `links_json` is '' for none."""

    pk: int
    kind: str
    anonymous_id: str
    user_id: str
    device_id: str
    links_json: str
    event_at: datetime
    is_active: bool
    matters: bool

    @property
    def links(self) -> Sequence[tuple[str, str]]:
        return orjson.loads(self.links_json) if self.links_json else []


def seen(batches: Iterable[Batch], *, counted: Iterable[str]) -> list[Seen]:
    """The batches' events in the order they happened; `counted` are the names that make conversions."""
    words = [*clicks.CLICK_IDS, *clicks.CAMPAIGN]
    found: list[Seen] = []
    with connection.cursor() as cursor:
        for (first, last), ids in _by_days(batches).items():
            given = {"ids": ids, "first": first, "last": last, "counted": list(counted), "words": words}
            cursor.execute(SEEN, given)
            found += map(Seen._make, cursor.fetchall())
    return sorted(found, key=lambda event: (event.event_at, event.pk))


def whole(batches: Iterable[Batch], events: Iterable[Seen]) -> list[Event]:
    """Those that matter, without the words they came in, in the order they happened."""
    wanted = {event.pk for event in events if event.matters}
    found: list[Event] = []
    for (first, last), ids in _by_days(batches).items():
        if here := [pk for pk in ids if pk in wanted]:
            found += Event.objects.filter(pk__in=here, day__gte=first, day__lte=last).defer("raw")
    return sorted(found, key=lambda event: (event.event_at, event.pk))


def _by_days(batches: Iterable[Batch]) -> dict[tuple[date | None, date | None], list[int]]:
    """Event ids by the days they lie between: an id is looked for in every partition of its days."""
    ids: dict[tuple[date | None, date | None], list[int]] = defaultdict(list)
    for batch in batches:
        ids[batch.first_day, batch.last_day] += batch.event_ids
    return ids
