"""The copies of the game's goals in the settings of its postbacks, and the lock that keeps both equal.

A change of a goal changes all copies under the exclusive lock. Whoever stores settings takes the shared lock first and
stores the goals as they are then, since the form or the check may be older.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from postbacks.configs.rules import SettingsRefused
from postbacks.models import GameGoal
from postbacks.outbox.goals import Goal

GOAL_DELETED = "A goal that this postback uses was deleted, so nothing was saved."


def lock_shared(game_id: int) -> None:
    """For storing settings: no goal of the game changes until the transaction ends. Before any row is locked."""
    _lock("pg_advisory_xact_lock_shared", game_id)


def lock_exclusive(game_id: int) -> None:
    """For changing a goal of the game, before any row is locked."""
    _lock("pg_advisory_xact_lock", game_id)


def copy_of(goal: GameGoal, *, sent_as: str = "", object_id: str = "") -> Goal:
    """The copy of a goal with the network's name and object id."""
    return Goal.from_json({**goal.definition, "sent_as": sent_as, "object_id": object_id})


def refreshed(goals: Sequence[Mapping[str, Any]], *, game_id: int) -> list[dict[str, Any]]:
    """The goals, with the present definition of those of the game. SettingsRefused if one of them was deleted."""
    ids = {str(goal["game_goal"]) for goal in goals if goal.get("game_goal")}
    present = {str(row.pk): row for row in GameGoal.objects.filter(game=game_id, pk__in=ids)} if ids else {}
    if ids - present.keys():
        raise SettingsRefused(GOAL_DELETED)
    return [_refreshed(goal, present) for goal in goals]


def replaced(goals: Sequence[Any], row: GameGoal) -> list[Any]:
    """The entries of PostbackConfig.goals, with the present definition of `row` in its copies."""
    return [_refreshed(goal, {str(row.pk): row}) if uses(goal, row) else goal for goal in goals]


def uses(entry: Any, row: GameGoal) -> bool:
    return isinstance(entry, Mapping) and entry.get("game_goal") == str(row.pk)


def _refreshed(goal: Mapping[str, Any], rows: Mapping[str, GameGoal]) -> dict[str, Any]:
    row = rows.get(str(goal.get("game_goal", "")))
    if row is None:
        return dict(goal)
    names = {name: str(goal.get(name, "")) for name in ("sent_as", "object_id")}
    return copy_of(row, **names).as_json()


def _lock(function: str, game_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"definitions of goals of game {game_id}"])
