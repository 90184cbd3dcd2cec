"""The form of a goal of the game."""

from typing import Any

from django import forms

from postbacks.configs.game_goals import MAX_NAME
from postbacks.configs.goal_choices import ready_json
from postbacks.configs.goal_definition import (
    FIELDS,
    NO_SUGGESTIONS,
    GoalDefinition,
    definition_initial,
    definition_json,
)
from postbacks.models import GameGoal
from postbacks.networks.interface.ready_goals import READY_GOALS
from postbacks.outbox.conditions import GoalRefused
from postbacks.outbox.goals import Goal


class GameGoalForm(GoalDefinition):
    """Name and definition. `goal` is None until it is validated; `version` is that of the goal that the member saw."""

    name = forms.CharField(
        max_length=MAX_NAME,
        help_text="A name such as VIP. Postbacks list the goal by this name.",
        widget=forms.TextInput(attrs=NO_SUGGESTIONS),
    )
    version = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)

    field_order = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.goal: Goal | None = None
        self.fields["event"].help_text = "The exact name that your game sends, such as level_complete."
        self.fields["event"].required = True
        self.fields["event"].error_messages["required"] = "Enter the name of the event."
        self.fields["path"].help_text = "Write cart.total for a property inside another."
        self.fields["value"].help_text = "Separate the values of “is one of” with commas."
        self.fields["repeat_orders"].help_text = "If not selected, only the first event of each order counts."

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if not self.errors:
            try:
                self.goal = Goal.from_json(definition_json(cleaned))
            except GoalRefused as refused:
                name = FIELDS.get(refused.field, refused.field)
                self.add_error(name if name in self.fields else None, str(refused))
        return cleaned


def stored_initial(goal: GameGoal) -> dict[str, Any]:
    definition = definition_initial(Goal.from_json(goal.definition))
    return {**definition, "name": goal.name, "version": goal.version}


def ready_initial(choice: str) -> dict[str, Any]:
    """The values of a ready-made goal by its choice; {} if there is none."""
    raw = ready_json(choice)
    if raw is None:
        return {}
    return {**definition_initial(Goal.from_json(raw)), "name": READY_GOALS[choice.split(":")[1]].label}
