"""The goals of a postback: which events it sends, under which names.

A goal matches the events of one name, or those of them that meet its condition. If several goals match an event, the
first one that accepts it counts. Makes no query.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audience.models import Conversion, Reason, Trigger, trigger_label
from postbacks.models import PostbackConfig
from postbacks.networks.interface.network import Network
from postbacks.outbox.conditions import Condition, GoalRefused

MAX_GOALS = 20
MAX_EVENT = 100
MAX_SENT_AS = 64  # Delivery.sent_as
MAX_OBJECT_ID = 64  # Delivery.object_id


@dataclass(frozen=True, slots=True)
class Goal:
    """`sent_as` is the network's event name, '' for the usual one. `once`: only the player's first event counts.

    `object_id` is the network's object that the goal reports to (Network.object_id). `server_only`: only events sent
    with a server key count, since anyone can send events with a public key. `repeat_orders`: every purchase of an order
    is sent, not only the first. `game_goal` is the id of the GameGoal of which this is a copy, '' without one.
    """

    event: str
    sent_as: str = ""
    once: bool = False
    condition: Condition | None = None
    server_only: bool = False
    object_id: str = ""
    repeat_orders: bool = False
    game_goal: str = ""

    def accepts(self, conversion: Conversion) -> bool:
        """Whether the conversion counts for the goal: it matches and was sent with a key that the goal accepts."""
        return self.matches(conversion) and (not self.server_only or bool(conversion.from_server))

    def matches(self, conversion: Conversion) -> bool:
        """Whether the event has the goal's name and meets its condition."""
        named = conversion.trigger == self.event
        return named and (self.condition is None or self.condition.is_met(_properties(conversion)))

    def as_json(self) -> dict[str, Any]:
        """One entry of PostbackConfig.goals: `{"event", "sent_as", "once", "condition"}`, the last may be None;
        `"server_only"`, `"repeat_orders"`, `"game_goal"` and `"object_id"` only where they are set."""
        condition = self.condition.as_json() if self.condition else None
        raw: dict[str, Any] = {"event": self.event, "sent_as": self.sent_as, "once": self.once, "condition": condition}
        raw |= {"server_only": True} if self.server_only else {}
        raw |= {"repeat_orders": True} if self.repeat_orders else {}
        raw |= {"game_goal": self.game_goal} if self.game_goal else {}
        return {**raw, "object_id": self.object_id} if self.object_id else raw

    @classmethod
    def from_json(cls, raw: Any) -> "Goal":
        """The goal of such an entry. Raises GoalRefused with a sentence for the form."""
        if not isinstance(raw, Mapping):
            raise GoalRefused("A goal needs an event.", field="event")
        event, sent_as, once = raw.get("event"), raw.get("sent_as", ""), raw.get("once", False)
        if not isinstance(event, str) or not event.strip():
            raise GoalRefused("Enter the name of the event.", field="event")
        if len(event.strip()) > MAX_EVENT or "\x00" in event:
            raise GoalRefused(f"An event name has at most {MAX_EVENT} characters.", field="event")
        if not isinstance(sent_as, str) or len(sent_as.strip()) > MAX_SENT_AS or "\x00" in sent_as:
            raise GoalRefused(f"The network's event name has at most {MAX_SENT_AS} characters.", field="sent_as")
        if not isinstance(once, bool):
            raise GoalRefused("“Once per player” is on or off.", field="once")
        server_only = raw.get("server_only", False)
        if not isinstance(server_only, bool):
            raise GoalRefused("“Only from a server key” is on or off.", field="server_only")
        repeat_orders = raw.get("repeat_orders", False)
        if not isinstance(repeat_orders, bool):
            raise GoalRefused("“Every event of an order” is on or off.", field="repeat_orders")
        object_id = raw.get("object_id", "")
        if not isinstance(object_id, str) or len(object_id.strip()) > MAX_OBJECT_ID:
            raise GoalRefused(f"The network's ID has at most {MAX_OBJECT_ID} characters.", field="object_id")
        game_goal = raw.get("game_goal", "")
        if not isinstance(game_goal, str):
            raise GoalRefused("A goal of the game must have its ID.", field="use")
        condition = None if raw.get("condition") is None else Condition.from_json(raw["condition"])
        names = (event.strip(), sent_as.strip(), once, condition, server_only, object_id.strip())
        return cls(*names, repeat_orders, game_goal)

    def __str__(self) -> str:
        parts = [trigger_label(self.event)]
        parts += [f"if {self.condition}"] if self.condition else []
        parts += ["only from a server key"] if self.server_only else []
        parts += ["once per player"] if self.once else []
        parts += ["every event of an order"] if self.repeat_orders else []
        parts += [f"as {self.sent_as}"] if self.sent_as else []
        parts += [f"to {self.object_id}"] if self.object_id else []
        return ", ".join(parts)


def _properties(conversion: Conversion) -> Any:
    """The event's properties, with the amount as it is shown and sent."""
    properties = conversion.properties
    if conversion.value is None or not isinstance(properties, Mapping):
        return properties
    return {**properties, "value": conversion.value}


def parse(raw: Any) -> list[Goal]:
    """The goals of a list of JSON objects. GoalRefused, with the `row`, for the first invalid one."""
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise GoalRefused("Goals must be a list.")
    goals: list[Goal] = []
    for row, entry in enumerate(raw):
        try:
            goal = Goal.from_json(entry)
        except GoalRefused as refused:
            raise GoalRefused(str(refused), field=refused.field, row=row) from refused
        refuse_unreachable(goal, dict(enumerate(goals, 1)), row=row)
        goals.append(goal)
    if len(goals) > MAX_GOALS:
        raise GoalRefused(f"A postback has at most {MAX_GOALS} goals.", row=MAX_GOALS)
    return goals


def refuse_unreachable(goal: Goal, earlier_goals: Mapping[int, Goal], *, row: int) -> None:
    """GoalRefused if an earlier goal (by number) accepts every event of `goal`, which would then never count."""
    for number, earlier in earlier_goals.items():
        if earlier.event != goal.event or (earlier.server_only and not goal.server_only):
            continue
        if earlier == goal:
            raise GoalRefused(f"This goal is the same as goal {number}.", row=row)
        if earlier.condition == goal.condition:
            raise GoalRefused(f"Goal {number} already counts “{goal.event}” with this condition.", row=row)
        if earlier.condition is None:
            raise GoalRefused(
                f"Goal {number} counts every “{goal.event}”. Put the goal with a condition before it.", row=row
            )


def refuse_name(goal: Goal, *, network: Network, row: int | None = None) -> None:
    """GoalRefused if the network does not accept the event name that the goal sends, or its object id."""
    name = goal.sent_as or goal.event
    is_usual = not goal.sent_as and goal.event in network.events
    if not is_usual and not network.accepts_event(name):
        refusal = f"{network.label} does not accept an event named “{name}”. {network.custom_event_help}"
        raise GoalRefused(refusal, field="sent_as", row=row)
    expected, object_id = network.object_id, goal.object_id
    if object_id and expected is None:
        raise GoalRefused(f"{network.label} does not use event IDs.", field="object_id", row=row)
    if expected and (object_id or expected.required) and not re.fullmatch(expected.pattern, object_id):
        raise GoalRefused(f"Enter the {expected.label}. {expected.help}", field="object_id", row=row)


def readable_goals(raw: Any) -> list[Goal]:
    """The goals of PostbackConfig.goals, without those that cannot be read."""
    goals = []
    for entry in raw if isinstance(raw, list) else []:
        try:
            goals.append(Goal.from_json(entry))
        except GoalRefused:
            continue
    return goals


def object_ids(raw: Any) -> list[str]:
    """The network's objects of such goals (Network.object_id), each once."""
    return list(dict.fromkeys(goal.object_id for goal in readable_goals(raw) if goal.object_id))


def trigger_settings(ids: Mapping[str, str]) -> dict[str, Any]:
    """`triggers` and `goals` of a config for both trigger events, each with its object id of `ids`, if any."""
    goals = [Goal(trigger, object_id=ids[trigger]).as_json() for trigger in Trigger.values if trigger in ids]
    return {"triggers": [trigger for trigger in Trigger.values if trigger not in ids], "goals": goals}


# A goal, or the reason why none matches.
Match = Goal | Reason


def goals_of(config: PostbackConfig) -> list[Goal]:
    """The config's stored goals in their order, then one for each ticked trigger.

    A game_launch counts once per player by attribution (`repeat_launch`); purchases repeat, one per order.
    """
    return [*readable_goals(config.goals), *(Goal(trigger) for trigger in config.triggers)]


def match_goal(config: PostbackConfig, conversion: Conversion) -> Match:
    """The first goal that accepts the conversion, or the reason why none does.

    CONFIG_DELETED; CONFIG_DISABLED: the config is off, or no goal has the event; FILTERED: no goal's condition holds;
    NOT_FROM_SERVER: a goal matches, but does not accept the key.
    """
    if config.deleted_at is not None:
        return Reason.CONFIG_DELETED
    named = [goal for goal in goals_of(config) if goal.event == conversion.trigger]
    if not config.enabled or not named:
        return Reason.CONFIG_DISABLED
    reason = Reason.NOT_FROM_SERVER if any(goal.matches(conversion) for goal in named) else Reason.FILTERED
    return next((goal for goal in named if goal.accepts(conversion)), reason)
