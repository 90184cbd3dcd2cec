"""Stores messages to webhooks about deliveries that ended and erasures, in the transaction of the change.

So none is lost, and none is about a change that was rolled back. Without a subscribed webhook, a batch of deliveries
costs one query. Every function that ends deliveries calls `add_for_deliveries`, except when a canceled replay restores
the earlier end of a delivery, of which there was a message.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from audience.background.wakeup import wake
from audience.database import bulk
from audience.models import Erasure
from postbacks.models import AlertHook, Confirmation, Delivery, DeliveryState, HookEvent, HookMessage

HOOK_MESSAGES_TASK = "postbacks.tasks.hook_messages"
# The event of a delivery that has just got this state. Both unsent states are one event: `ended_as` has the state.
OF_STATE: dict[str, HookEvent] = {
    DeliveryState.DELIVERED: HookEvent.CONVERSION_DELIVERED,
    DeliveryState.FAILED: HookEvent.CONVERSION_FAILED,
    DeliveryState.SKIPPED: HookEvent.CONVERSION_NOT_SENT,
    DeliveryState.CANCELLED: HookEvent.CONVERSION_NOT_SENT,
}


def event_of(delivery: Delivery) -> HookEvent | None:
    """Return the event of a delivery that has just got its state or confirmation; None for one that is not over."""
    if delivery.state == DeliveryState.DELIVERED and delivery.confirmation == Confirmation.CONFIRMED:
        return HookEvent.CONVERSION_CONFIRMED
    return OF_STATE.get(delivery.state)


def add_for_deliveries(deliveries: Iterable[Delivery]) -> None:
    """Store a message about each delivery, which has just changed, for each webhook that is subscribed to its event."""
    events = [(row, event) for row in deliveries if (event := event_of(row)) is not None]
    if not events:
        return
    hooks = _subscribed({row.game_id for row, _ in events}, {event for _, event in events})
    _store(
        HookMessage(game_id=row.game_id, hook_id=hook, event=event, row=row.pk, ended_as=_ended_as(row))
        for row, event in events
        for hook in hooks[row.game_id, event]
    )


def add_for_erasure(erasure: Erasure, event: HookEvent) -> int:
    """Store a message for each webhook that is subscribed to the event of an erasure; return their number."""
    hooks = _subscribed({erasure.game_id}, {event})[erasure.game_id, event]
    ended_as = {"state": erasure.state}
    fields: dict[str, Any] = {"game_id": erasure.game_id, "event": event, "row": erasure.pk, "ended_as": ended_as}
    return _store(HookMessage(hook_id=hook, **fields) for hook in hooks)


def add_for_finished_erasure(erasure: Erasure) -> None:
    """Store the messages about an erasure that is done. ERASURE_DONE_HOOK, called in its transaction."""
    add_for_erasure(erasure, HookEvent.ERASURE_COMPLETED)


def _ended_as(delivery: Delivery) -> dict[str, str]:
    """What may be different when the message is sent: a failed delivery may be sent again meanwhile."""
    return {
        "state": delivery.state,
        "reason": delivery.reason,
        "verdict": delivery.verdict,
        "confirmation": delivery.known_confirmation,
    }


def _subscribed(games: set[int], events: set[HookEvent]) -> dict[tuple[int, str], list[int]]:
    """Return the ids of the enabled webhooks by game and event."""
    hooks = AlertHook.objects.filter(game_id__in=games, enabled=True, events__overlap=[event.value for event in events])
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for pk, game_id, subscribed in hooks.order_by("pk").values_list("pk", "game_id", "events"):
        for event in events.intersection(subscribed):
            found[game_id, event].append(pk)
    return found


def _store(messages: Iterable[HookMessage]) -> int:
    rows: Sequence[HookMessage] = list(messages)
    if rows:
        bulk.insert(rows)
        wake(HOOK_MESSAGES_TASK)
    return len(rows)
