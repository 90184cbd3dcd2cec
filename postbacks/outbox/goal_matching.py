"""Finds the goal of a postback that takes a conversion, or the reason why none does. Makes no query."""

from audience.models import Conversion, Reason
from postbacks.models import PostbackConfig
from postbacks.outbox.goals import Goal, readable_goals

# A goal, or the reason why none matches.
Match = Goal | Reason


def goals_of(config: PostbackConfig) -> list[Goal]:
    """The config's own goals in their order, then one for each ticked trigger.

    A game_launch counts once per player by attribution (`repeat_launch`); purchases repeat.
    """
    return [*readable_goals(config.goals), *(Goal(trigger) for trigger in config.triggers)]


def matching(config: PostbackConfig, conversion: Conversion) -> Match:
    """The goal that takes this conversion, or why none does.

    CONFIG_DELETED; CONFIG_DISABLED: the config is off, or no goal has the event; FILTERED: no condition of those goals
    holds; NOT_FROM_SERVER: one holds, of a goal that does not accept the key.
    """
    if config.deleted_at is not None:
        return Reason.CONFIG_DELETED
    if not config.enabled:
        return Reason.CONFIG_DISABLED
    named = [goal for goal in goals_of(config) if goal.event == conversion.trigger]
    if not named:
        return Reason.CONFIG_DISABLED
    fits = any(goal.fits(conversion) for goal in named)
    reason = Reason.NOT_FROM_SERVER if fits else Reason.FILTERED
    return next((goal for goal in named if goal.takes(conversion)), reason)
