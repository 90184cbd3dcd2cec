"""Adds, changes and deletes the goals of a game, and changes the postbacks that use them."""

from typing import Any

from django.db import transaction

from audience.database import clock
from audience.models import Game
from audience.models import goals as goal_events
from postbacks.configs import goal_copies, rules, versions
from postbacks.models import GameGoal, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.outbox.goals import Goal

MAX_GOALS = 50  # of a game
MAX_NAME = 64
CHANGED = "This goal was changed by someone else, so nothing was saved. Open it and save again."
DELETED = "This goal was deleted by someone else, so nothing was saved."


class GameGoalRefused(Exception):
    """Why a goal of the game cannot be saved or deleted, as a sentence for the form. `field` is one of its fields."""

    def __init__(self, sentence: str, *, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


class GameGoalChanged(GameGoalRefused):
    """The goal is no longer the one that was read."""

    def __init__(self) -> None:
        super().__init__(CHANGED)


@transaction.atomic
def add(*, game: Game, name: str, definition: Goal, added_by: Any) -> GameGoal:
    """Add a goal; no postback uses it yet. Raises GameGoalRefused."""
    goal_copies.lock_exclusive(game.pk)
    if GameGoal.objects.filter(game=game).count() >= MAX_GOALS:
        raise GameGoalRefused(f"A game has at most {MAX_GOALS} goals.")
    _refuse_same_name(game.pk, name, None)
    return GameGoal.objects.create(game=game, name=name, created_by=added_by, **_columns(definition))


@transaction.atomic
def change(*, goal: GameGoal, name: str, definition: Goal, version: int, changed_by: Any) -> list[PostbackConfig]:
    """Change a goal and its copies; the postbacks that got a new version.

    `version` is the one that the member saw. Raises GameGoalChanged if the goal has another by now, and GameGoalRefused
    if a network refuses the change; nothing is changed then.
    """
    goal_copies.lock_exclusive(goal.game_id)
    row = GameGoal.objects.filter(game=goal.game_id, pk=goal.pk).first()
    if row is None:
        raise GameGoalRefused(DELETED)
    if row.version != version:
        raise GameGoalChanged
    _refuse_same_name(row.game_id, name, row)
    columns = _columns(definition)
    if {"name": name, **columns} == {field: getattr(row, field) for field in ("name", *columns)}:
        return []
    for field, value in {"name": name, **columns}.items():
        setattr(row, field, value)
    row.version, row.updated_at = row.version + 1, clock.now()
    row.save()
    return _change_copies(row, changed_by)


@transaction.atomic
def delete(*, goal: GameGoal, version: int | None = None) -> None:
    """Delete a goal that no postback uses. GameGoalRefused, with the postbacks, if any does. Idempotent.

    Raises GameGoalChanged if the goal has another `version` by now.
    """
    goal_copies.lock_exclusive(goal.game_id)
    row = GameGoal.objects.filter(game=goal.game_id, pk=goal.pk).first()
    if row is None:
        return
    if version is not None and row.version != version:
        raise GameGoalChanged
    if users := postbacks_by_goal(row.game)[str(row.pk)]:
        names = ", ".join(str(config) for config in users)
        raise GameGoalRefused(f"Remove it from these postbacks first: {names}.")
    row.delete()


def postbacks_by_goal(game: Game) -> dict[str, list[PostbackConfig]]:
    """Id of each goal of the game -> the postbacks that use it, in the order they were added."""
    found: dict[str, list[PostbackConfig]] = {str(pk): [] for pk in game.game_goals.values_list("pk", flat=True)}
    configs = PostbackConfig.objects.kept().filter(game=game, network__in=NETWORKS).order_by("created_at")
    for config in configs.defer("credential", "previous_credential"):
        entries = config.goals if isinstance(config.goals, list) else []
        for pk in dict.fromkeys(str(entry.get("game_goal", "")) for entry in entries if isinstance(entry, dict)):
            found.get(pk, []).append(config)
    return found


def _change_copies(row: GameGoal, changed_by: Any) -> list[PostbackConfig]:
    changed = []
    using = {"game": row.game_id, "network__in": NETWORKS, "goals__contains": [{"game_goal": str(row.pk)}]}
    configs = PostbackConfig.objects.kept().locked().filter(**using)
    for config in configs.order_by("pk"):
        goals = goal_copies.replaced(config.goals, row)
        if goals == config.goals:
            continue
        try:
            rules.refuse_invalid(config.triggers, goals, network=config.network, pixel_id=config.pixel_id)
        except rules.SettingsRefused as refused:
            raise GameGoalRefused(f"{config} cannot use the goal with this change. {refused}") from refused
        config.goals = goals
        versions.save(config=config, change=f"Goal of this game changed: {row.name}", set_by=changed_by)
        changed.append(config)
    if changed:
        goal_events.add_goal_events(game=row.game, names=[row.event])
    return changed


def _refuse_same_name(game_id: int, name: str, exclude: GameGoal | None) -> None:
    same = GameGoal.objects.filter(game=game_id, name=name).first()
    if same is not None and same != exclude:
        raise GameGoalRefused("This game already has a goal with this name.", field="name")


def _columns(definition: Goal) -> dict[str, Any]:
    return {
        "event": definition.event,
        "condition": definition.condition.as_json() if definition.condition else None,
        "once": definition.once,
        "server_only": definition.server_only,
        "repeat_orders": definition.repeat_orders,
    }
