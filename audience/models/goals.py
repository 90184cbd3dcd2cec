"""Which events make conversions in a game, besides the two built-in triggers: those that a goal counts."""

from collections.abc import Iterable

from audience.models import Game, GoalEvent, Trigger


def add_goal_events(*, game: Game, names: Iterable[str]) -> None:
    """Make conversions of the events of these names that are digested from now on. Following twice is once.

    The built-in triggers need no following. Nothing is ever unfollowed: a conversion that no goal counts is kept, and
    says so.
    """
    wanted = sorted(set(names) - set(Trigger.values))
    GoalEvent.objects.bulk_create([GoalEvent(game=game, name=name) for name in wanted], ignore_conflicts=True)


def conversion_event_names(*, game: Game) -> set[str]:
    """Every event name that makes a conversion in the game."""
    return {*Trigger.values, *GoalEvent.objects.filter(game=game).values_list("name", flat=True)}
