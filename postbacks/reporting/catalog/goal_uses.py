"""Which goals count an event, and which of them never can, because of what the game sends."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from audience.catalog.checks import AMOUNTS, Check, CheckCode
from audience.catalog.figures import EventFigures
from audience.models import Game, PropertyType
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.outbox.conditions import COMPARISONS, Condition
from postbacks.outbox.goals import Goal, goals_of, readable_goals

# Types that a condition cannot compare; comparisons of numbers cannot read booleans either.
NEVER_COMPARED = {PropertyType.LIST, PropertyType.OBJECT}
# The conversion's amount takes the place of this property (Goal.matches).
AMOUNT = "value"


@dataclass(frozen=True, slots=True)
class GoalUse:
    """A goal of a postback, or one of the game that no postback uses. `name` is that of the game's goal, '' without
    one."""

    goal: Goal
    name: str = ""
    config: PostbackConfig | None = None

    @property
    def is_active(self) -> bool:
        """Whether events that match it are sent."""
        return self.config is not None and self.config.enabled

    @property
    def label(self) -> str:
        """Return “VIP”, or the goal's definition."""
        return f"“{self.name}”" if self.name else f"“{self.goal}”"


def by_event(game: Game) -> dict[str, list[GoalUse]]:
    """Return {event name: goals that count it}, those of postbacks in the order that these were added."""
    found: dict[str, list[GoalUse]] = defaultdict(list)
    names = dict(game.game_goals.values_list("pk", "name"))
    by_id, used = {str(pk): name for pk, name in names.items()}, set[str]()
    configs = PostbackConfig.objects.kept().filter(game=game, network__in=NETWORKS).order_by("created_at")
    for config in configs.defer("credential", "previous_credential"):
        for goal in goals_of(config):
            used.add(goal.game_goal)
            found[goal.event].append(GoalUse(goal, by_id.get(goal.game_goal, ""), config))
    for row in game.game_goals.order_by("name"):
        for goal in readable_goals([row.definition]) if str(row.pk) not in used else ():
            found[goal.event].append(GoalUse(goal, row.name))
    return dict(found)


def checks(event: EventFigures, uses: Iterable[GoalUse]) -> list[Check]:
    """Return the goals that count nothing: the event was not sent, or not with what their condition reads."""
    uses = list(uses)
    if not event.number:
        labels = " and ".join(dict.fromkeys(use.label for use in uses))
        verb = "counts" if len({use.label for use in uses}) == 1 else "count"
        text = f"The goal {labels} {verb} {event.key.name}, which the game did not send in this period."
        text = text.replace("The goal", "The goals") if verb == "count" else text
        return [Check(CheckCode.NOT_SENT, text)] if uses else []
    return list(dict.fromkeys(check for use in uses for check in _never_counts(event, use)))


def _never_counts(event: EventFigures, use: GoalUse) -> Iterator[Check]:
    condition = use.goal.condition
    if condition is None:
        return
    path, name = condition.property, event.key.name
    if not _may_have(event, condition):
        text = f"The goal {use.label} reads the property {path}, which no {name} event has. It never counts."
        yield Check(CheckCode.GOAL_NEVER_COUNTS, text, path)
    elif condition.op != "exists" and path in event.properties and not _compares(event, condition):
        text = f"The goal {use.label} compares the property {path}, which has no value that can be compared in any "
        yield Check(CheckCode.GOAL_NEVER_COUNTS, f"{text}{name} event. It never counts.", path)


def _may_have(event: EventFigures, condition: Condition) -> bool:
    """Whether an event may have the property: counts end at one level of nesting, and at a number of properties."""
    path = condition.property
    if event.filled(path) or event.has_further_properties:
        return True
    if path == AMOUNT and event.filled(*AMOUNTS):
        return True
    first, _, rest = path.partition(".")
    second = f"{first}.{rest.partition('.')[0]}"
    return "." in rest and bool(event.filled(second))


def _compares(event: EventFigures, condition: Condition) -> bool:
    never = NEVER_COMPARED | ({PropertyType.BOOLEAN} if condition.op in COMPARISONS else set())
    is_amount = condition.property == AMOUNT and len(event.properties.keys() & set(AMOUNTS)) > 1
    return is_amount or bool(event.properties[condition.property].types.keys() - never)
