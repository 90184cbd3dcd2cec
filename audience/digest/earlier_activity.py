"""Adds the activity of events that were digested before the click of their player was known."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection

from audience.digest import active_quarters, owned_ids
from audience.digest.active_quarters import RETENTION_DAYS
from audience.models import ActiveQuarter, Game, Person

# Senders repeat events up to 30 days old, which are stored with the day of their own time.
MAX_DELAY = timedelta(days=31)
# Those of the players whose first click is one of the new ones (NULL: whatever it is), and who were active after it.
ACTIVE_SINCE = """
SELECT person.id, click.clicked_at
FROM unnest(%(people)s::uuid[], %(since)s::timestamptz[]) AS changed (person_id, clicked_at)
JOIN audience_person person ON person.id = changed.person_id
CROSS JOIN LATERAL (
  SELECT clicked_at FROM audience_touch touch WHERE touch.person_id = person.id ORDER BY clicked_at LIMIT 1
) AS click
WHERE (changed.clicked_at IS NULL OR click.clicked_at >= changed.clicked_at)
  AND last_seen_at >= audience_quarter(click.clicked_at) + interval '15 minutes'
"""


def add(*, game: Game, changed: Iterable[uuid.UUID], clicked: Mapping[uuid.UUID, datetime]) -> None:
    """Store activity anew: of persons whose events changed, and of {person: time of a new click}.

    Where events may have been deleted by age, what is stored stays.
    """
    since: dict[uuid.UUID, datetime | None] = {**clicked, **dict.fromkeys(changed)}
    if not since:
        return
    with connection.cursor() as cursor:
        cursor.execute(ACTIVE_SINCE, {"people": list(since), "since": list(since.values())})
        rows = cursor.fetchall()
    people = Person.objects.in_bulk([pk for pk, _ in rows])
    for pk, clicked_at in rows:
        if game.kept_days is None:
            ActiveQuarter.objects.filter(game_id=game.pk, person_id=pk).delete()
        active_quarters.store(game=game, quarters={pk: _quarters(game, people[pk], clicked_at)})


def _quarters(game: Game, person: Person, clicked_at: datetime) -> set[datetime]:
    last = clicked_at + timedelta(days=max(RETENTION_DAYS) + 2)
    events = owned_ids.events_of(game.pk, owned_ids.owned_ids(person))
    events = events.filter(event_at__range=(clicked_at, last), day__gte=(clicked_at - MAX_DELAY).date())
    times = events.exclude(context__contains={"active": False}).values_list("event_at", flat=True)
    return {active_quarters.quarter_of(moment) for moment in times}
