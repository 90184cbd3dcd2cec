"""Stores touches (ad clicks) and decides which touch each conversion is attributed to."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from psycopg.types.json import Json

from audience.database import bulk, clock
from audience.digest import clicks, conversions, orders
from audience.digest.event_ids import is_id
from audience.digest.identity import ResolvedPlayers
from audience.models import Conversion, Event, Game, Identity, Owners, Reason, Touch

# How long a conversion without a click can still be attributed, to a click that arrives late or comes with a merge.
LATE_CLICK_PERIOD = timedelta(days=7)

UPSERT_TOUCH = """
    INSERT INTO audience_touch (game_id, person_id, network, click_key, click_id, clicked_at, message_id, campaign,
                                page_url, referrer, ip, user_agent, browser_id, cookies)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (person_id, network, click_key) DO UPDATE SET
        clicked_at = excluded.clicked_at, message_id = excluded.message_id, campaign = excluded.campaign,
        page_url = excluded.page_url, referrer = excluded.referrer, ip = excluded.ip,
        user_agent = excluded.user_agent, browser_id = excluded.browser_id, cookies = excluded.cookies
    WHERE (excluded.clicked_at, excluded.message_id) < (audience_touch.clicked_at, audience_touch.message_id)
"""


def attribute(*, game: Game, events: Sequence[Event], people: ResolvedPlayers) -> int:
    """Store the events' touches and conversions and decide all conversions they affect; return how many changed."""
    touched = _store_touches(game, events, people)
    # Moved events have their conversions already, except events from before a goal counted them, which get none.
    moved = {event.pk for event in people.moved}
    unmoved = [event for event in events if event.pk not in moved]
    new = conversions.record(game=game, events=unmoved, people=people.by_event)
    converted = {conversion.person_id for conversion in new}
    newly_counted = conversions.choose_launches(person_ids=people.changed | converted)
    # Locked, to wait for a fan-out in progress and see its decisions.
    affected = Conversion.objects.filter(person_id__in=people.changed | touched).order_by("pk")
    locked = affected.select_for_update(no_key=True, of=("self",))
    recent = locked.unattributed().filter(event_at__gte=clock.now() - LATE_CLICK_PERIOD)
    # Not fanned out yet: a late click still changes their attribution.
    undecided = locked.filter(fanned_out_at=None)
    affected_or_new = [*recent, *undecided, *new, *newly_counted]
    to_decide = {c.pk: c for c in affected_or_new if c.reason not in conversions.FINAL_REASONS}
    decided = _decide(game, list(to_decide.values()), new)
    # Last, and for every player whose conversions are locked here: a fan-out leaves them to this (`skip_locked`).
    again = orders.choose_purchases(person_ids=people.changed | touched)
    return decided + again + orders.choose_purchases(person_ids=converted, order_ids=[c.order_id for c in new])


def _store_touches(game: Game, events: Sequence[Event], people: ResolvedPlayers) -> set[uuid.UUID]:
    """Store the events' ad clicks; return the persons who clicked."""
    rows: list[tuple[Any, ...]] = []
    for event in events:
        click = clicks.read(properties=event.properties, context=event.context)
        if click is not None:
            rows.append(_touch_row(game, event, people.by_event[event.pk], click))
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(UPSERT_TOUCH, rows)
    return {row[1] for row in rows}


def _touch_row(game: Game, event: Event, person_id: uuid.UUID, click: clicks.Click) -> tuple[Any, ...]:
    """Return the parameters of UPSERT_TOUCH."""
    return (
        game.pk,
        person_id,
        click.network,
        click.click_id or f"message:{event.message_id}",
        click.click_id,
        event.event_at,
        event.message_id,
        Json(click.campaign),
        click.page_url,
        click.referrer,
        str(event.context.get("ip") or "")[:45],
        str(event.context.get("user_agent") or "")[:1024],
        click.browser_id,
        Json(click.cookies),
    )


def winner(*, event_at: datetime, touches: Iterable[Touch], window: timedelta) -> tuple[Touch | None, str]:
    """Return the last paid click at or before the event and inside the window, or None and the Reason.

    Ties are broken by the greater (network, click key), so that the order of arrival does not matter.
    """
    before = [touch for touch in touches if touch.clicked_at <= event_at]
    if not before:
        return None, Reason.NO_CLICK
    last = max(before, key=lambda touch: (touch.clicked_at, touch.network, touch.click_key))
    if event_at - last.clicked_at > window:
        return None, Reason.OUTSIDE_WINDOW
    return last, ""


def _decide(game: Game, to_decide: Sequence[Conversion], new: Sequence[Conversion]) -> int:
    """Set each conversion's touch or reason; those that changed are fanned out again. Return how many changed or are
    new.
    """
    touches: dict[uuid.UUID, list[Touch]] = defaultdict(list)
    for touch in Touch.objects.filter(person_id__in={c.person_id for c in to_decide}):
        touches[touch.person_id].append(touch)
    window = timedelta(days=game.attribution_window_days)
    # An event that names a user is that user's, and no crowd's.
    unnamed = {conversion.person_id for conversion in to_decide if not is_id(conversion.user_id)}
    identities = Identity.objects.filter(person_id__in=unnamed, owners=Owners.CROWD)
    crowds = set(identities.values_list("person_id", flat=True))
    changed = []
    for conversion in to_decide:
        before = (conversion.touch_id, conversion.reason)
        clicks_of_person = touches[conversion.person_id]
        conversion.touch, reason = winner(event_at=conversion.event_at, touches=clicks_of_person, window=window)
        if conversion.person_id in crowds:
            conversion.touch, reason = None, Reason.SHARED_ID
        conversion.reason = Reason.TEST_TRAFFIC if conversion.test else reason
        if before != (conversion.touch_id, conversion.reason):
            conversion.fanned_out_at = None
            changed.append(conversion)
    bulk.update(changed, ["touch", "reason", "fanned_out_at"])
    return len({conversion.pk for conversion in [*changed, *new]})
