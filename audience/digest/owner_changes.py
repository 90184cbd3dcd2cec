"""From which time on a weak id has other owners than before."""

import uuid
from datetime import UTC, datetime

from audience.digest.event_ids import IdentityKey
from audience.digest.ownership import Owning
from audience.models import Owners

ALWAYS = datetime.min.replace(tzinfo=UTC)
# The owners of an id: each with the time from which on it owns the id. The first one owns it before that time too.
Turns = list[tuple[datetime, uuid.UUID | None]]


def differs_from(before: Owning, after: Owning, key: IdentityKey) -> datetime | None:
    """Return the first time at which the owner of an id differs; ALWAYS for any time, None if it never does."""
    if before.is_named(key) != after.is_named(key):
        return ALWAYS
    old, new = _turns(before, key), _turns(after, key)
    for number, (one, other) in enumerate(zip(old, new, strict=False)):
        if one[1] != other[1]:
            return min(one[0], other[0]) if number else ALWAYS
        if number and one[0] != other[0]:
            return min(one[0], other[0])
    longer = max(old, new, key=len)
    shared = min(len(old), len(new))
    if len(longer) == shared:
        return None
    return longer[shared][0] if shared else ALWAYS


def _turns(owning: Owning, key: IdentityKey) -> Turns:
    known = owning.known.get(key)
    if known is None:
        return []
    if known.owners == Owners.SEVERAL:
        return [(run.first_at, run.person_id) for run in owning.runs[known.pk]]
    return [(ALWAYS, known.person_id)]
