"""What a row of goals can begin with: a goal of the game, or a ready-made one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from postbacks.configs import goal_copies
from postbacks.configs.goal_definition import DEFINITION_FIELDS, definition_initial, definition_json
from postbacks.models import GameGoal
from postbacks.networks.interface.network import Network
from postbacks.networks.interface.ready_goals import OWN_NAME, READY_GOALS, EventName, ReadyGoal
from postbacks.outbox.conditions import GoalRefused
from postbacks.outbox.goals import Goal

GAME, READY = "game", "ready"
GAME_GOAL_FILLED = (
    "This row uses a goal of this game. Clear the event name, the condition and the checkboxes, or change the goal on "
    "the Goals page."
)


def choices(network: Network, game_goals: Sequence[GameGoal]) -> list[tuple[str, Any]]:
    """The choices of a row, in groups."""
    own = [(f"{GAME}:{row.pk}", f"{row.name} ({goal_copies.copy_of(row)})") for row in game_goals]
    ready = [(value, _label(network, ready, event)) for value, ready, event in offered(network)]
    groups: list[tuple[str, Any]] = [("", "A goal that is entered here")]
    groups += [("Goals of this game", own)] if own else []
    return [*groups, ("Ready-made goals", ready)] if ready else groups


def offered(network: Network | None = None) -> Iterator[tuple[str, ReadyGoal, EventName]]:
    """(value, goal, event) of each ready-made goal: all of them, or those that the network has an event for."""
    for key, ready in READY_GOALS.items():
        if network is None or network.ready_goals.get(key) is not None:
            yield from ((f"{READY}:{key}:{number}", ready, event) for number, event in enumerate(ready.events))


def ready_json(value: str) -> dict[str, Any] | None:
    """The definition of a ready-made goal by the value of its choice; None for another value."""
    for known, ready, event in offered():
        if known == value:
            condition = dict(event.condition) if event.condition else None
            return {"event": event.name, "once": ready.once, "condition": condition}
    return None


def ready_fields(value: str, network: Network) -> dict[str, Any] | None:
    """The fields of a row that show the ready-made goal of this choice; None for another value."""
    raw = ready_json(value) if value in {known for known, _, _ in offered(network)} else None
    if raw is None:
        return None
    return {**definition_initial(Goal.from_json(raw)), "sent_as": network.ready_goals[value.split(":")[1]] or ""}


def row_json(cleaned: Mapping[str, Any], network: Network, game_goals: Sequence[GameGoal]) -> dict[str, Any]:
    """The JSON of a row's goal without the network's name. GoalRefused if the row contradicts its choice.

    A goal of the game has its own definition. A ready-made one fills what the row leaves blank.
    """
    kind, _, key = cleaned["use"].partition(":")
    entered = definition_json(cleaned)
    if kind == GAME:
        if any(cleaned[name] for name in DEFINITION_FIELDS):
            raise GoalRefused(GAME_GOAL_FILLED, field="use")
        return next(row.definition for row in game_goals if str(row.pk) == key)
    ready = ready_json(cleaned["use"])
    if ready is None:
        return entered
    sent_as = network.ready_goals[key.partition(":")[0]]
    is_own_event = bool(entered["event"])
    return {
        **entered,
        "event": entered["event"] or ready["event"],
        "condition": entered["condition"] if is_own_event else entered["condition"] or ready["condition"],
        "once": entered["once"] or ready["once"],
        "sent_as": sent_as,
    }


def notes(network: Network) -> list[str]:
    """Sentences for the form: which ready-made goals the network has no event of its own for."""
    named = network.standard_events
    own = [READY_GOALS[key].label for key, name in network.ready_goals.items() if name == OWN_NAME and named]
    absent = [READY_GOALS[key].label for key, name in network.ready_goals.items() if name is None]
    sentences = []
    if own:
        text = (
            f"{network.label} has no standard event for these, so they are sent under their own names: {_listed(own)}."
        )
        sentences.append(text)
    if absent:
        text = f"{network.label} has no event for these, so they are not offered: {_listed(absent)}."
        sentences.append(f"{text} {network.custom_event_help}".rstrip())
    if network.object_id:
        sentences.append(f"Each goal needs its own {network.object_id.label}.")
    return sentences


def _label(network: Network, ready: ReadyGoal, event: EventName) -> str:
    key = next(key for key, known in READY_GOALS.items() if known is ready)
    sent_as = network.ready_goals[key]
    name = f" as {network.standard_events[sent_as]}" if sent_as else ""
    return f"{ready.label}: {event.name}{event.condition_text}{name}"


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(label[0].lower() + label[1:] for label in labels)
