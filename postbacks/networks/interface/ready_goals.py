"""Ready-made goals: the event names by which games report them. `Network.ready_goals` has each network's own name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# In Network.ready_goals: the event is sent under its own name, or the network has no names.
OWN_NAME = ""


@dataclass(frozen=True, slots=True)
class EventName:
    """`condition` as in PostbackConfig.goals; None if every event of the name counts."""

    name: str
    condition: Mapping[str, Any] | None = None

    @property
    def condition_text(self) -> str:
        if not self.condition:
            return ""
        value = self.condition["value"]
        if isinstance(value, list):
            return f", if {self.condition['property']} is one of {', '.join(value)}"
        return f", if {self.condition['property']} is {value}"


@dataclass(frozen=True, slots=True)
class ReadyGoal:
    """`events` in the order of the form. `once`: only the player's first event counts."""

    label: str
    once: bool
    events: tuple[EventName, ...]


# Names in lower case with underscores are Immutable's predefined events and, where it has none, those of Google
# Analytics and Snapchat for games. "Signed Up" and "Product Added to Wishlist" are in Segment's specification, which
# RudderStack and MetaRouter share; "Level Completed" and the like follow its rule (object, then past tense). Parcelvoy
# has no names of its own.
READY_GOALS = {
    "sign_up": ReadyGoal("Sign-up", True, (EventName("sign_up"), EventName("Signed Up"))),
    "wishlist_add": ReadyGoal(
        "Added to wishlist", False, (EventName("wishlist_add"), EventName("Product Added to Wishlist"))
    ),
    "email_acquired": ReadyGoal("Email address given", True, (EventName("email_acquired"),)),
    "tutorial": ReadyGoal(
        "Tutorial completed",
        True,
        (
            EventName("tutorial_complete"),
            EventName("complete_tutorial"),
            EventName(
                "milestone_reached", {"property": "name", "op": "in", "value": ["tutorial", "tutorial_complete"]}
            ),
            EventName("Tutorial Completed"),
        ),
    ),
    "level": ReadyGoal(
        "Level completed",
        False,
        (
            EventName("level_complete"),
            EventName("progression", {"property": "status", "op": "eq", "value": "complete"}),
            EventName("Level Completed"),
        ),
    ),
    "achievement": ReadyGoal(
        "Achievement unlocked", False, (EventName("achievement_unlocked"), EventName("Achievement Unlocked"))
    ),
    "subscription": ReadyGoal(
        "Subscription started", True, (EventName("subscription_start"), EventName("Subscription Started"))
    ),
}
