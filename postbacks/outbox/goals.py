"""The goals of a postback: which events it sends, under which names.

A goal takes the events of one name, or those of them that meet its condition. Of several goals for one event the first
whose condition holds takes it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from audience.models import Conversion, Trigger, trigger_label
from postbacks.networks.interface.network import ObjectId
from postbacks.outbox.conditions import Condition, GoalRefused

__all__ = [
    "Condition",
    "Goal",
    "GoalRefused",
    "event_names",
    "readable_goals",
    "parse",
    "refuse_name",
    "refuse_unreachable",
]

MAX_GOALS = 20
MAX_EVENT = 100
MAX_SENT_AS = 64  # Delivery.sent_as
MAX_OBJECT_ID = 64  # Delivery.object_id


class EventWords(Protocol):
    """The attributes of a Network that a goal needs."""

    @property
    def label(self) -> str: ...
    @property
    def events(self) -> Mapping[str, str]: ...
    @property
    def standard_events(self) -> Mapping[str, str]: ...
    @property
    def custom_events(self) -> bool: ...
    @property
    def custom_event_help(self) -> str: ...
    @property
    def object_id(self) -> ObjectId | None: ...
    def takes_event(self, name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Goal:
    """`sent_as` is the network's event name, '' for the event's usual one. `once`: only the player's first counts.
    `object_id` is the network's own object that the goal reports to (Network.object_id).

    `server_only`: only events sent with a server key; anyone can send events with a public one.
    """

    event: str
    sent_as: str = ""
    once: bool = False
    condition: Condition | None = None
    server_only: bool = False
    object_id: str = ""

    def takes(self, conversion: Conversion) -> bool:
        """Whether the goal counts the conversion: it `fits` and came with a key that the goal accepts."""
        return self.fits(conversion) and (not self.server_only or bool(conversion.from_server))

    def fits(self, conversion: Conversion) -> bool:
        """Whether the event has the goal's name and meets its condition."""
        named = conversion.trigger == self.event
        return named and (self.condition is None or self.condition.holds(conversion.properties))

    def as_json(self) -> dict[str, Any]:
        """One entry of PostbackConfig.goals: `{"event", "sent_as", "once", "condition"}`, the last may be None;
        `"server_only"` and `"object_id"` only where they are set."""
        condition = self.condition.as_json() if self.condition else None
        raw: dict[str, Any] = {"event": self.event, "sent_as": self.sent_as, "once": self.once, "condition": condition}
        raw |= {"server_only": True} if self.server_only else {}
        return {**raw, "object_id": self.object_id} if self.object_id else raw

    @classmethod
    def from_json(cls, raw: Any) -> "Goal":
        """Raises GoalRefused with a sentence for the form."""
        if not isinstance(raw, Mapping):
            raise GoalRefused("A goal names an event.", field="event")
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
        object_id = raw.get("object_id", "")
        if not isinstance(object_id, str) or len(object_id.strip()) > MAX_OBJECT_ID:
            raise GoalRefused(f"The network's ID has at most {MAX_OBJECT_ID} characters.", field="object_id")
        condition = None if raw.get("condition") is None else Condition.from_json(raw["condition"])
        return cls(event.strip(), sent_as.strip(), once, condition, server_only, object_id.strip())

    def __str__(self) -> str:
        words = [trigger_label(self.event)]
        words += [f"if {self.condition}"] if self.condition else []
        words += ["only from a server key"] if self.server_only else []
        words += ["once per player"] if self.once else []
        words += [f"as {self.sent_as}"] if self.sent_as else []
        words += [f"to {self.object_id}"] if self.object_id else []
        return ", ".join(words)


def parse(raw: Any) -> list[Goal]:
    """The goals of a list of JSON objects. GoalRefused, with the `row`, for the first invalid one."""
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise GoalRefused("Goals come as a list.")
    found: list[Goal] = []
    for row, entry in enumerate(raw):
        try:
            goal = Goal.from_json(entry)
        except GoalRefused as refused:
            raise GoalRefused(str(refused), field=refused.field, row=row) from refused
        refuse_unreachable(goal, dict(enumerate(found, 1)), row=row)
        found.append(goal)
    if len(found) > MAX_GOALS:
        raise GoalRefused(f"A postback has at most {MAX_GOALS} goals.", row=MAX_GOALS)
    return found


def refuse_unreachable(goal: Goal, before: Mapping[int, Goal], *, row: int) -> None:
    """GoalRefused if one `before` it (by number) takes every event of `goal`, which would never count."""
    for number, earlier in before.items():
        if earlier.event != goal.event or (earlier.server_only and not goal.server_only):
            continue
        if earlier == goal:
            raise GoalRefused(f"This is goal {number} again.", row=row)
        if earlier.condition == goal.condition:
            raise GoalRefused(f"Goal {number} already takes “{goal.event}” under this condition.", row=row)
        if earlier.condition is None:
            raise GoalRefused(
                f"Goal {number} takes every “{goal.event}”: put the one with a condition before it.", row=row
            )


def refuse_name(goal: Goal, *, network: EventWords, row: int | None = None) -> None:
    """GoalRefused when the network does not take the event name that this goal sends, or its object id."""
    name = goal.sent_as or goal.event
    usual = not goal.sent_as and goal.event in network.events
    if not usual and not network.takes_event(name):
        refusal = f"{network.label} takes no event named “{name}”. {network.custom_event_help}"
        raise GoalRefused(refusal, field="sent_as", row=row)
    wanted, given = network.object_id, goal.object_id
    if given and wanted is None:
        raise GoalRefused(f"{network.label} takes no ID with a goal.", field="object_id", row=row)
    if wanted and (given or wanted.required) and not re.fullmatch(wanted.pattern, given):
        raise GoalRefused(f"Enter the {wanted.label}. {wanted.help}", field="object_id", row=row)


def readable_goals(raw: Any) -> list[Goal]:
    """The goals of PostbackConfig.goals, without those that cannot be read."""
    found = []
    for entry in raw if isinstance(raw, list) else []:
        try:
            found.append(Goal.from_json(entry))
        except GoalRefused:
            continue
    return found


def event_names(raw: Any) -> list[str]:
    """The events of these goals (as in PostbackConfig.goals) besides the built-in triggers, sorted."""
    return sorted({goal.event for goal in readable_goals(raw)} - set(Trigger.values))
