"""Which conversion an event made, or why it made none."""

from dataclasses import dataclass

from audience.models import Batch, BatchState, Conversion, Event, GoalEvent, Kind, Trigger

NOT_TRACKED = "None: only track events become conversions."
NOT_NAMED = (
    "None: no goal counts this event. Conversions are made of game_launch, purchase and the events that goals count."
)
GOAL_IS_LATER = "None: no goal counted this event when it was received. A goal counts the events that arrive after it."
PENDING = "Not processed yet: reload the page in a moment."
SET_ASIDE = "None: the request could not be processed and was set aside. The Overview says what to do."
NONE_STORED = "None is stored."


@dataclass(frozen=True, slots=True)
class EventConversion:
    """`conversion` is None with an `explanation`, a sentence; `names_goals`: whether adding a goal would help."""

    conversion: Conversion | None
    explanation: str = ""
    names_goals: bool = False


def conversion_of(event: Event) -> EventConversion:
    """Return the conversion of an event, which is one of its message id and day."""
    key = {"game_id": event.game_id, "message_id": event.message_id, "event_day": event.day}
    conversion = Conversion.objects.filter(**key).defer("properties", "context", "integrations").first()
    if conversion:
        return EventConversion(conversion, conversion.get_reason_display() if conversion.reason else "")
    if event.kind != Kind.TRACK:
        return EventConversion(None, NOT_TRACKED)
    goal = None
    if event.name not in Trigger.values:
        goal = GoalEvent.objects.filter(game_id=event.game_id, name=event.name).first()
        if goal is None:
            return EventConversion(None, NOT_NAMED, names_goals=True)
    # By state, since only these have an index, and few batches are in them.
    batches = Batch.objects.filter(game_id=event.game_id, received_at=event.received_at, event_ids__contains=[event.pk])
    if batches.filter(state=BatchState.PENDING).exists():
        return EventConversion(None, PENDING)
    if batches.filter(state=BatchState.FAILED).exists():
        return EventConversion(None, SET_ASIDE)
    if goal and goal.created_at > event.received_at:
        return EventConversion(None, GOAL_IS_LATER)
    return EventConversion(None, NONE_STORED)
