"""The runs of weak ids with several owners, as stored in Ownership."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from audience.models import Game, Ownership, OwnershipSource

RUNS = """
SELECT identity_id, ownership.user_id, person_id, first_at, last_at FROM audience_ownership ownership
JOIN audience_identity named ON named.id = ownership.user_id
WHERE identity_id = ANY(%s) AND source = 'event' ORDER BY identity_id, first_at, ownership.id
"""


class OwnershipRun(NamedTuple):
    """Consecutive events that name one player with a weak id; `user` is the primary key of the user's Identity."""

    user: int
    person_id: uuid.UUID
    first_at: datetime
    last_at: datetime

    def covers(self, first_at: datetime, last_at: datetime) -> bool:
        """Whether these times are inside the run and not at its ends, where other runs may have events too."""
        return self.first_at < first_at and last_at < self.last_at


def load(identities: Iterable[int]) -> dict[int, list[OwnershipRun]]:
    """Return the stored runs: {identity id: runs in order of time}."""
    identity_ids = list(identities)
    runs_by_identity: dict[int, list[OwnershipRun]] = defaultdict(list)
    if identity_ids:
        with connection.cursor() as cursor:
            cursor.execute(RUNS, [identity_ids])
            for identity, *run in cursor.fetchall():
                runs_by_identity[identity].append(OwnershipRun._make(run))
    return runs_by_identity


def store(game: Game, runs: Mapping[int, Sequence[OwnershipRun]]) -> None:
    """Replace the runs of these weak ids, except unchanged ones at the beginning. Rows of aliases are not changed."""
    rows = Ownership.objects.filter(identity_id__in=list(runs), source=OwnershipSource.EVENT)
    stored: dict[int, list[Ownership]] = defaultdict(list)
    for row in rows.order_by("identity", "first_at", "pk"):
        stored[row.identity_id].append(row)
    deleted: list[int] = []
    new: list[Ownership] = []
    for identity, new_runs in runs.items():
        old = stored[identity]
        pairs = zip(old, new_runs, strict=False)
        changed = (row.user_id != run.user or row.first_at != run.first_at for row, run in pairs)
        start = next((index for index, is_changed in enumerate(changed) if is_changed), min(len(old), len(new_runs)))
        deleted += [row.pk for row in old[start:]]
        new += [
            Ownership(game=game, identity_id=identity, user_id=run.user, first_at=run.first_at, last_at=run.last_at)
            for run in new_runs[start:]
        ]
    Ownership.objects.filter(pk__in=deleted).delete()
    Ownership.objects.bulk_create(new)
