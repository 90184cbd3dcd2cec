"""Merges persons that turn out to be one into the one seen first."""

import uuid
from collections import defaultdict
from collections.abc import Sequence

from audience.database import bulk
from audience.digest import active_quarters, conversions, touches, traits
from audience.models import Conversion, Device, Group, Identity, Person, Touch
from audience.models.people import GroupMembership


def merge(*, person_ids: Sequence[uuid.UUID]) -> uuid.UUID:
    """Merge persons (at least one); return the id of the remaining one."""
    persons = list(Person.objects.filter(pk__in=person_ids).order_by("first_seen_at", "pk"))
    remaining, merged_ids = persons[0], [person.pk for person in persons[1:]]
    _merge_touches(remaining.pk, [person.pk for person in persons])
    # First, since a constraint allows one counted launch per person.
    if launches := conversions.launches_of(person_ids):
        bulk.update(conversions.choose_counted([launches]), ["reason", "fanned_out_at"])
    for model in (Identity, Device, Conversion):
        model._default_manager.filter(person_id__in=merged_ids).update(person=remaining)
    Conversion.objects.filter(moved_to__in=merged_ids).update(moved_to=remaining)
    joined = [GroupMembership(group=group, person=remaining) for group in Group.objects.filter(members__in=merged_ids)]
    GroupMembership.objects.bulk_create(joined, ignore_conflicts=True)
    traits.merge_into(remaining, persons[1:])
    active_quarters.move(game_id=remaining.game_id, merged=merged_ids, remaining=remaining.pk)
    Person.objects.filter(pk__in=merged_ids).delete()
    return remaining.pk


def _merge_touches(remaining_id: uuid.UUID, person_ids: Sequence[uuid.UUID]) -> None:
    """Move all touches; of touches with the same click the earliest is kept, with what the others state."""
    same: dict[tuple[str, str], list[Touch]] = defaultdict(list)
    for touch in Touch.objects.filter(person_id__in=person_ids).order_by("clicked_at", "message_id"):
        same[touch.network, touch.click_key].append(touch)
    for earliest, *later in same.values():
        if later:
            later_ids = [touch.pk for touch in later]
            for touch in later:
                touches.fill(earliest, touch)
            bulk.update([earliest], touches.COLUMNS)
            Conversion.objects.filter(touch_id__in=later_ids).update(touch=earliest)
            Touch.objects.filter(pk__in=later_ids).delete()
    Touch.objects.filter(person_id__in=person_ids).update(person_id=remaining_id)
