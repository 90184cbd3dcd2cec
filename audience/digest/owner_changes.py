"""From which time on a weak id has other owners than before."""

import uuid
from datetime import UTC, datetime
from itertools import zip_longest

from audience.digest.event_ids import IdentityKey
from audience.digest.ownership import WeakOwners
from audience.models import Owners

BEGINNING = datetime.min.replace(tzinfo=UTC)
# The owners of an id, each with the time from which on it owns the id.
OwnerChanges = list[tuple[datetime, uuid.UUID | None]]


def differs_from(before: WeakOwners, after: WeakOwners, key: IdentityKey) -> datetime | None:
    """Return the first time at which the owner of an id differs; BEGINNING for any time, None if it never does."""
    if before.is_named(key) != after.is_named(key):
        return BEGINNING
    for old, new in zip_longest(_owner_changes(before, key), _owner_changes(after, key)):
        if old != new:
            first: datetime = min(start for start, _ in filter(None, (old, new)))
            return first
    return None


def _owner_changes(owners: WeakOwners, key: IdentityKey) -> OwnerChanges:
    known = owners.known.get(key)
    if known is None:
        return []
    if known.owners == Owners.SEVERAL:
        first, *later = owners.runs[known.pk]
        return [(BEGINNING, first.person_id), *((run.first_at, run.person_id) for run in later)]
    return [(BEGINNING, known.person_id)]
