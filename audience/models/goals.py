"""The names of the events that become conversions in a game: the two built-in triggers and the GoalEvents."""

from collections.abc import Iterable

from audience.models import Game, GoalEvent, Trigger


def add_goal_events(*, game: Game, names: Iterable[str]) -> None:
    """Create conversions for events of these names from the next digest on. Idempotent.

    Names are never removed: a conversion that no goal counts any more is kept with its reason.
    """
    goal_names = sorted(set(names) - set(Trigger.values))
    GoalEvent.objects.bulk_create([GoalEvent(game=game, name=name) for name in goal_names], ignore_conflicts=True)


def conversion_event_names(*, game: Game) -> set[str]:
    """Return the names of all events that become conversions in the game."""
    return {*Trigger.values, *GoalEvent.objects.filter(game=game).values_list("name", flat=True)}
