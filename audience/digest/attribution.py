"""Decides which touch (ad click) each conversion is attributed to."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime, timedelta

from audience.database import bulk, clock
from audience.digest import conversions, earlier_activity, orders, repeated_clicks, touches
from audience.digest.event_ids import is_id
from audience.digest.identity import ResolvedPlayers
from audience.models import Conversion, Event, Game, Identity, JoinKind, ModeledMatch, Owners, Reason, Touch

# How long a conversion without a click can still be attributed, to a click that arrives late or comes with a merge.
LATE_CLICK_PERIOD = timedelta(days=7)


def attribute(*, game: Game, events: Sequence[Event], people: ResolvedPlayers) -> int:
    """Store the events' touches and conversions and decide all conversions they affect; return how many changed."""
    touched, clicked = touches.store(game=game, events=events, people=people.by_event)
    earlier_activity.add(game=game, changed=people.changed, clicked=clicked)
    # Moved events have their conversions already, except events from before a goal counted them, which get none.
    moved = {event.pk for event in people.moved}
    unmoved = [event for event in events if event.pk not in moved]
    new = conversions.record(game=game, events=unmoved, people=people.by_event)
    converted = {conversion.person_id for conversion in new}
    newly_counted = conversions.choose_launches(person_ids=people.changed | converted)
    # Locked, to wait for a fan-out in progress and see its decisions.
    clicking = people.changed | touched
    clicking |= repeated_clicks.persons_repeating(game, clicking)
    affected = Conversion.objects.filter(person_id__in=clicking).order_by("pk")
    locked = affected.select_for_update(no_key=True, of=("self",))
    recent = locked.unattributed().filter(event_at__gte=clock.now() - LATE_CLICK_PERIOD)
    # Not fanned out yet: a late click still changes their attribution.
    undecided = locked.filter(fanned_out_at=None)
    affected_or_new = [*recent, *undecided, *new, *newly_counted]
    to_decide = {c.pk: c for c in affected_or_new if c.reason not in conversions.FINAL_REASONS}
    changed = _decide(game, list(to_decide.values()), newly_counted={conversion.pk for conversion in newly_counted})
    decided = len(changed | {conversion.pk for conversion in new})
    # Last, and for every player whose conversions are locked here: a fan-out leaves them to this (`skip_locked`).
    again = orders.choose_purchases(person_ids=people.changed | touched)
    return decided + again + orders.choose_purchases(person_ids=converted, order_ids=[c.order_id for c in new])


def winner(
    *, event_at: datetime, touches: Iterable[Touch], window_of: Callable[[str], timedelta]
) -> tuple[Touch | None, str]:
    """Return the last paid click at or before the event and inside the window of its network, or None and the Reason.

    Ties are broken by the greater (network, click key), so that the order of arrival does not matter.
    """
    before = [touch for touch in touches if touch.clicked_at <= event_at]
    if not before:
        return None, Reason.NO_CLICK
    inside = [touch for touch in before if event_at - touch.clicked_at <= window_of(touch.network)]
    if not inside:
        return None, Reason.OUTSIDE_WINDOW
    return max(inside, key=lambda touch: (touch.clicked_at, touch.network, touch.click_key)), ""


def _decide(game: Game, to_decide: Sequence[Conversion], *, newly_counted: Container[uuid.UUID]) -> set[uuid.UUID]:
    """Set each conversion's touch or reason; those that changed are fanned out again. Return the ids of these.

    `newly_counted` are the ids of launches that were repeats, and are not saved yet.
    """
    by_person: dict[uuid.UUID, list[Touch]] = defaultdict(list)
    stored = list(Touch.objects.filter(person_id__in={c.person_id for c in to_decide}))
    left_out = repeated_clicks.left_out(game, stored)
    for touch in stored:
        if touch.pk not in left_out:
            by_person[touch.person_id].append(touch)
    # An event that names a user is that user's, and no crowd's.
    unnamed = {conversion.person_id for conversion in to_decide if not is_id(conversion.user_id)}
    identities = Identity.objects.filter(person_id__in=unnamed, owners=Owners.CROWD)
    crowds = set(identities.values_list("person_id", flat=True))
    changed = []
    for conversion in to_decide:
        before = (conversion.touch_id, conversion.reason)
        clicks_of_person = by_person[conversion.person_id]
        conversion.touch, reason = winner(
            event_at=conversion.event_at, touches=clicks_of_person, window_of=game.window_of
        )
        if conversion.person_id in crowds:
            conversion.touch, reason = None, Reason.SHARED_ID
        conversion.reason = Reason.TEST_TRAFFIC if conversion.test else reason
        if conversion.pk in newly_counted or before != (conversion.touch_id, conversion.reason):
            conversion.fanned_out_at = None
            changed.append(conversion)
    bulk.update(changed, ["touch", "reason", "fanned_out_at"])
    if JoinKind.MODELED in game.joins:
        # A click of the player replaces the estimate.
        attributed = [conversion.pk for conversion in changed if conversion.touch]
        ModeledMatch.objects.filter(game=game, conversion__in=attributed).delete()
    return {conversion.pk for conversion in changed}
