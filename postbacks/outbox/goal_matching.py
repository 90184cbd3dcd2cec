"""Which goal of a postback takes a conversion, or why none does. Reads no table."""

from audience.models import Conversion, Reason
from postbacks.models import PostbackConfig
from postbacks.outbox.goals import Goal, kept

# The goal that takes a conversion, or why none does.
Match = Goal | Reason


def goals_of(config: PostbackConfig) -> list[Goal]:
    """The config's own goals in their order, then the ticked built-in ones, which are there for every other case.

    A game_launch is a player's first by attribution (`repeat_launch`); purchases repeat.
    """
    return [*kept(config.goals), *(Goal(trigger) for trigger in config.triggers)]


def matching(config: PostbackConfig, conversion: Conversion) -> Match:
    """The goal that takes this conversion, or why none does.

    CONFIG_DELETED; CONFIG_DISABLED: the config is off, or no goal names the event; FILTERED: some do, and no condition
    holds; NOT_FROM_SERVER: one holds, of a goal that does not believe the key.
    """
    if config.deleted_at is not None:
        return Reason.CONFIG_DELETED
    if not config.enabled:
        return Reason.CONFIG_DISABLED
    named = [goal for goal in goals_of(config) if goal.event == conversion.trigger]
    if not named:
        return Reason.CONFIG_DISABLED
    unbelieved = any(goal.fits(conversion) for goal in named)
    otherwise = Reason.NOT_FROM_SERVER if unbelieved else Reason.FILTERED
    return next((goal for goal in named if goal.takes(conversion)), otherwise)
