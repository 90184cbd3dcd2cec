"""Copies the settings of a postback into the form of a new one for another network."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from audience.models import Trigger
from postbacks.models import PostbackConfig
from postbacks.networks.interface.network import Network
from postbacks.networks.interface.ready_goals import READY_GOALS
from postbacks.outbox.conditions import GoalRefused
from postbacks.outbox.goals import Goal, readable_goals, refuse_name


@dataclass(frozen=True, slots=True)
class CopiedSettings:
    """`goals` as in PostbackConfig; `notes` are sentences about what was not copied."""

    triggers: list[str]
    goals: list[dict[str, Any]]
    enabled: bool
    notes: list[str]


def copied_settings(config: PostbackConfig, network: Network) -> CopiedSettings:
    """The triggers and goals of `config` for `network`: its own names, no object ids and no credential."""
    source = readable_goals(config.goals)
    goals = [_translated(goal, config.kind, network) for goal in source]
    # A trigger event of which only the object id is set is a ticked one.
    ticked = [goal.event for goal in goals if goal.event in Trigger.values and goal == Goal(goal.event)]
    return CopiedSettings(
        triggers=list(dict.fromkeys([*config.triggers, *ticked])),
        goals=[goal.as_json() for goal in goals if goal.event not in ticked or goal != Goal(goal.event)],
        enabled=config.enabled,
        notes=list(_notes(config, network, list(zip(source, goals, strict=True)))),
    )


def _translated(goal: Goal, source: Network, network: Network) -> Goal:
    """The goal under the network's own name, or under its usual one where the network has none."""
    bare = replace(goal, sent_as="", object_id="")
    candidates = (replace(bare, sent_as=name) for name in _names(goal, source, network))
    return next((named for named in candidates if _is_accepted(named, network)), bare)


def _names(goal: Goal, source: Network, network: Network) -> Iterator[str]:
    """The names to try, in this order: of the ready-made goal, of the standard event with the same label, the usual
    one, and the present one as a custom name."""
    label = source.standard_events.get(goal.sent_as)
    yield from (name for key in _ready_goals(goal, source) if (name := network.ready_goals[key]) is not None)
    yield from (name for name, known in network.standard_events.items() if known == label)
    if goal.sent_as and not label and network.custom_events and _has_names(network):
        yield goal.sent_as


def _has_names(network: Network) -> bool:
    """Whether the network is told what an event is by its name, and not by an object id alone."""
    return bool(network.standard_events) or network.has_templates


def _ready_goals(goal: Goal, source: Network) -> list[str]:
    """The keys of the ready-made goals that this may be: by the name that it is sent as, else by its event."""
    if not goal.sent_as:
        return [key for key, ready in READY_GOALS.items() if goal.event in {event.name for event in ready.events}]
    if source.events.get(goal.event) == goal.sent_as:
        return []  # a trigger event under its usual name, which ready-made goals may share
    return [key for key, name in source.ready_goals.items() if name == goal.sent_as]


def _is_accepted(goal: Goal, network: Network) -> bool:
    try:
        refuse_name(goal, network=network)
    except GoalRefused as refused:
        return refused.field == "object_id"  # which the member enters
    return True


def _notes(config: PostbackConfig, network: Network, goals: list[tuple[Goal, Goal]]) -> Iterator[str]:
    """`goals` are pairs of a goal and its copy."""
    kind = config.kind
    pixel = "name" if kind.pixel_is_name else f"{kind.pixel_label[0].lower()}{kind.pixel_label[1:]}"
    own = ", the request, the click parameters" if kind.has_templates else ""
    yield f"The credential{own} and the {pixel} were not copied. Enter those of {network.label}."
    for goal, copied in goals:
        sent_as = kind.standard_events.get(goal.sent_as) or goal.sent_as
        if not _is_accepted(copied, network):
            yield f"{network.label} has no event for “{copied}”: select one, or clear the goal."
        elif _has_names(network) and sent_as and not copied.sent_as and goal.sent_as != kind.events.get(goal.event):
            (
                yield f"“{copied}” was sent as {sent_as}. It is sent under its default name here, unless you select "
                "another one."
            )
    if network.object_id:
        yield f"Enter the {network.object_id.label} of each event: {network.label} has its own."
