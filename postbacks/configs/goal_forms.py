"""The rows of "More goals" in the form of a postback: a goal each; blank rows are ignored."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from postbacks.configs import goal_choices, rules
from postbacks.configs.goal_definition import FIELDS, NO_SUGGESTIONS, GoalDefinition, definition_initial
from postbacks.models import GameGoal
from postbacks.networks.interface.network import Network, ObjectId
from postbacks.outbox.conditions import GoalRefused
from postbacks.outbox.goals import MAX_GOALS, Goal, readable_goals, refuse_unreachable

EMPTY_ROWS = 3
CUSTOM = "custom"
# Key of a goal's JSON -> field of the row, where the names differ.
ROW_FIELDS = {**FIELDS, "sent_as": "custom"}


class GoalForm(GoalDefinition):
    """One row. `goal` is None until it is validated, and for a blank row."""

    custom = forms.CharField(label="Custom name", required=False, widget=forms.TextInput(attrs=NO_SUGGESTIONS))

    def __init__(
        self, *args: Any, network: Network, number: int, game_goals: Sequence[GameGoal] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.network, self.number, self.game_goals = network, number, game_goals
        self.goal: Goal | None = None
        custom = [(CUSTOM, "A custom name")] if network.custom_events else []
        self.fields["use"] = forms.ChoiceField(
            label="What counts",
            required=False,
            choices=goal_choices.choices(network, game_goals),
            error_messages={"invalid_choice": "Select one of the offered goals."},
        )
        self.fields["sent_as"] = forms.ChoiceField(
            label=f"Sent to {network.label} as",
            required=False,
            choices=[("", "Default name"), *network.standard_events.items(), *custom],
        )
        if network.object_id:
            self.fields["object_id"] = object_id_input(network.object_id, network.object_id.label)

    @property
    def problems(self) -> list[str]:
        """The errors of the row, a sentence each."""
        return [str(sentence) for sentences in self.errors.values() for sentence in sentences]

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if any(cleaned.values()) and not self.errors:
            try:
                self.goal = rules.read_goal(self._as_json(cleaned), network=self.network)
            except GoalRefused as refused:
                self.refuse(refused)
        return cleaned

    def refuse(self, refused: GoalRefused) -> None:
        """Add the reason as an error of the row."""
        name = ROW_FIELDS.get(refused.field, refused.field)
        self.add_error(name if name in self.fields else None, str(refused))

    def _as_json(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of the row's goal. GoalRefused if two fields contradict each other."""
        sent_as, custom = cleaned["sent_as"], cleaned["custom"]
        if custom and sent_as not in ("", CUSTOM):
            raise GoalRefused("Select “A custom name” or clear the custom name.", field="sent_as")
        if sent_as == CUSTOM and not custom:
            raise GoalRefused("Enter the custom name.", field="sent_as")
        raw = goal_choices.row_json(cleaned, self.network, self.game_goals)
        name = custom or sent_as or raw.get("sent_as", "")
        return {**raw, "sent_as": name, "object_id": cleaned.get("object_id", "")}


def object_id_input(object_id: ObjectId, label: str) -> forms.CharField:
    widget = forms.TextInput(attrs=NO_SUGGESTIONS)
    unmapped = "" if object_id.required else " Without it, these events are not sent and are listed as not mapped."
    return forms.CharField(label=label, required=False, help_text=f"{object_id.help}{unmapped}", widget=widget)


class GoalRows:
    """The stored goals and a few blank rows, or the posted rows.

    If a request has no rows (a client that posts only the two triggers), the stored goals are unchanged. `game_goals`
    are those that a row may use.
    """

    def __init__(
        self,
        network: Network,
        data: Mapping[str, Any],
        goals: Sequence[Mapping[str, Any]],
        game_goals: Sequence[GameGoal] = (),
    ) -> None:
        self._goals, self.notes = readable_goals(list(goals)), goal_choices.notes(network)
        known = {str(row.pk) for row in game_goals}
        posted = [int(match[1]) for name in data if (match := re.match(r"goals-(\d{1,2})-", name))]
        self.posted = bool(posted)
        blank = min(EMPTY_ROWS, MAX_GOALS - len(self._goals))
        count = max(posted) + 1 if posted else len(self._goals) + blank
        self.forms = [
            GoalForm(
                data if posted else None,
                prefix=f"goals-{row}",
                initial=_initial(self._goals[row], network, known) if not posted and row < len(self._goals) else {},
                network=network,
                number=row + 1,
                game_goals=game_goals,
            )
            for row in range(count)
        ]

    @property
    def filled(self) -> bool:
        """Whether any row has a goal or errors."""
        return bool(self._goals) or any(form.errors or form.goal for form in self.forms)

    def cleaned(self) -> tuple[list[dict[str, Any]], list[int]]:
        """The goals as JSON, and the numbers of the invalid rows."""
        if not self.posted:
            return [goal.as_json() for goal in self._goals], []
        earlier: dict[int, Goal] = {}
        for form in self.forms:
            if form.is_valid() and form.goal:
                _compare_with_earlier(form, form.goal, earlier)
                earlier[form.number] = form.goal
        return [goal.as_json() for goal in earlier.values()], [form.number for form in self.forms if form.errors]


def filled_row(
    network: Network, data: Mapping[str, Any], *, number: int, game_goals: Sequence[GameGoal]
) -> GoalForm | None:
    """The posted row, filled from the ready-made goal that it selects and not validated; None if it selects none."""
    given: dict[str, Any] = {
        "prefix": f"goals-{number}",
        "network": network,
        "number": number + 1,
        "game_goals": game_goals,
    }
    posted = GoalForm(data, **given)
    entered = {name: posted[name].value() or "" for name in posted.fields}
    ready = goal_choices.ready_fields(str(entered["use"]), network)
    if ready is None:
        return None
    if entered["event"]:
        ready |= dict.fromkeys(("path", "op", "value"), "")  # a condition of another event
    filled = {name: value for name, value in entered.items() if value}
    return GoalForm(initial={**ready, **filled, "use": ""}, **given)


def _compare_with_earlier(form: GoalForm, goal: Goal, earlier: Mapping[int, Goal]) -> None:
    """Add an error to the row if an earlier goal makes its goal unreachable, or if there are too many."""
    try:
        if len(earlier) >= MAX_GOALS:
            raise GoalRefused(f"A postback has at most {MAX_GOALS} goals.")
        refuse_unreachable(goal, earlier, row=form.number - 1)
    except GoalRefused as refused:
        form.refuse(refused)


def _initial(goal: Goal, network: Network, game_goals: set[str]) -> dict[str, Any]:
    """The values of a row. A copy of a goal of the game shows its choice only."""
    standard = goal.sent_as in network.standard_events
    is_copy = goal.game_goal in game_goals
    return {
        **({"use": f"{goal_choices.GAME}:{goal.game_goal}"} if is_copy else definition_initial(goal)),
        "sent_as": goal.sent_as if standard or not goal.sent_as else CUSTOM,
        "custom": "" if standard else goal.sent_as,
        "object_id": goal.object_id,
    }
