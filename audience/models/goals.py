"""Which event names make conversions in a game: the two built-in triggers and the GoalEvents."""

from collections.abc import Iterable

from audience.models import Game, GoalEvent, Trigger


def add_goal_events(*, game: Game, names: Iterable[str]) -> None:
    """Make events of these names into conversions from the next digest on. Idempotent.

    Names are never removed: a conversion that no goal counts any more is kept with its reason.
    """
    wanted = sorted(set(names) - set(Trigger.values))
    GoalEvent.objects.bulk_create([GoalEvent(game=game, name=name) for name in wanted], ignore_conflicts=True)


def conversion_event_names(*, game: Game) -> set[str]:
    """Return every event name that makes a conversion in the game."""
    return {*Trigger.values, *GoalEvent.objects.filter(game=game).values_list("name", flat=True)}
