"""From which time on a weak id has other owners than before."""

import uuid
from datetime import UTC, datetime

from audience.digest.event_ids import IdentityKey
from audience.digest.ownership import WeakOwners
from audience.models import Owners

BEGINNING = datetime.min.replace(tzinfo=UTC)
# The owners of an id: each with the time from which on it owns the id. The first one owns it before that time too.
OwnerChanges = list[tuple[datetime, uuid.UUID | None]]


def differs_from(before: WeakOwners, after: WeakOwners, key: IdentityKey) -> datetime | None:
    """Return the first time at which the owner of an id differs; BEGINNING for any time, None if it never does."""
    if before.is_named(key) != after.is_named(key):
        return BEGINNING
    old, new = _owner_changes(before, key), _owner_changes(after, key)
    for number, (old_change, new_change) in enumerate(zip(old, new, strict=False)):
        (old_start, old_owner), (new_start, new_owner) = old_change, new_change
        if number == 0 and old_owner != new_owner:
            return BEGINNING
        if number and old_change != new_change:
            return min(old_start, new_start)
    longer = max(old, new, key=len)
    shared = min(len(old), len(new))
    if len(longer) == shared:
        return None
    return longer[shared][0] if shared else BEGINNING


def _owner_changes(owners: WeakOwners, key: IdentityKey) -> OwnerChanges:
    known = owners.known.get(key)
    if known is None:
        return []
    if known.owners == Owners.SEVERAL:
        return [(run.first_at, run.person_id) for run in owners.runs[known.pk]]
    return [(BEGINNING, known.person_id)]
