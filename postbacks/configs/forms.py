"""The form of a postback, with the labels and rules of its network."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from audience.models import Trigger
from audience.wording import time_zones
from postbacks.configs.credential_form import CredentialForm
from postbacks.configs.goal_definition import NO_SUGGESTIONS
from postbacks.configs.goal_forms import GoalRows, object_id_input
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.configs.rules import MAX_TEST_CODE, NO_TRIGGER, SettingsRefused, read_pixel
from postbacks.models import GameGoal
from postbacks.networks.interface.network import Network
from postbacks.outbox.conditions import GoalRefused
from postbacks.outbox.goals import Goal, parse, readable_goals, refuse_name

TRIGGERS = (("game_launch", "Game Launch (game_launch)"), ("purchase", "Purchase (purchase)"))


class PostbackForm(CredentialForm):
    """Pixel, the parts of the credential, triggers, further goals, enabled, test code.

    `rows` are the rows of goals, which may use `game_goals`. `cleaned_data["goals"]` is as in PostbackConfig.
    """

    pixel_id = forms.CharField(max_length=64, widget=forms.TextInput(attrs=NO_SUGGESTIONS))
    triggers = forms.MultipleChoiceField(
        label="Trigger events", choices=TRIGGERS, required=False, widget=forms.CheckboxSelectMultiple
    )
    server_only = forms.MultipleChoiceField(
        label="Only from a server key",
        choices=TRIGGERS,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="A publishable key is public: anyone who reads it can report these events with any value. A selected "
        "event counts only if your own server sends it with a server key. Create a server key under API keys first.",
    )
    # Hidden: for the errors of all rows and their cleaned value.
    goals = forms.Field(label="More goals", required=False, widget=forms.HiddenInput)
    time_zone = forms.ChoiceField(
        label="Time zone of the ad account",
        choices=time_zones.choices,
        initial=time_zones.DEFAULT,
        required=False,
        help_text="The network’s reports use this time zone, and so does “Compare with the network”. It does not "
        "change what is sent.",
    )
    enabled = forms.BooleanField(label="Enabled", required=False, initial=True)
    test_code = forms.CharField(max_length=MAX_TEST_CODE, required=False, widget=forms.TextInput(attrs=NO_SUGGESTIONS))

    def __init__(
        self,
        *args: Any,
        network: Network,
        editing: bool = False,
        stored: Mapping[str, str] | None = None,
        game_goals: Sequence[GameGoal] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, network=network, editing=editing, stored=stored, **kwargs)
        for name, label, text in (
            ("pixel_id", network.pixel_label, network.pixel_help),
            ("test_code", network.test_code_label, network.test_code_help),
        ):
            self.fields[name].label, self.fields[name].help_text = label, text
        if not network.test_code_label:
            del self.fields["test_code"]
        if network.object_id:
            for name, label in TRIGGERS:
                field = object_id_input(network.object_id, f"{network.object_id.label}: {label}")
                self.fields[f"object_id_{name}"] = field
        goals, trigger_goals = _split(readable_goals(list(self.initial.get("goals", ()))))
        self.initial["server_only"] = [goal.event for goal in trigger_goals if goal.server_only]
        self.initial["triggers"] = [*self.initial.get("triggers", ()), *(goal.event for goal in trigger_goals)]
        self.initial.update({f"object_id_{goal.event}": goal.object_id for goal in trigger_goals})
        stored_goals = [goal.as_json() for goal in goals]
        self.rows = GoalRows(network, self.data if self.is_bound else {}, stored_goals, game_goals)

    def clean(self) -> dict[str, Any]:
        cleaned, (goals, invalid_rows) = super().clean(), self.rows.cleaned()
        cleaned["goals"] = goals = self._with_trigger_goals(goals)
        if invalid_rows:
            self.add_error("goals", "".join(f"Check goal {number}. " for number in invalid_rows).strip())
        elif not goals and not cleaned.get("triggers") and "triggers" not in self.errors:
            self.add_error("triggers", NO_TRIGGER)
        return cleaned

    def _with_trigger_goals(self, goals: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The goals, then one for each ticked trigger event with a setting, which is "only from a server key" or an
        object id. Ticked events without a setting stay in `triggers`."""
        cleaned = self.cleaned_data
        ticked, from_server = cleaned.get("triggers", []), cleaned.pop("server_only", [])
        ids = {name: cleaned.pop(f"object_id_{name}", "") for name, _ in TRIGGERS}
        if set(from_server) - set(ticked):
            self.add_error("server_only", "Select the trigger event above too, or clear it here.")
            return goals
        trigger_goals = [Goal(name, server_only=name in from_server, object_id=ids[name]) for name in ticked]
        cleaned["triggers"] = [goal.event for goal in trigger_goals if goal == Goal(goal.event)]
        all_goals = [*goals, *(goal.as_json() for goal in trigger_goals if goal != Goal(goal.event))]
        self._refuse_object_ids(trigger_goals)
        try:
            parse(all_goals)
        except GoalRefused as refused:
            if len(all_goals) > len(goals):
                self.add_error("server_only" if from_server else "triggers", str(refused))
        return all_goals

    def _refuse_object_ids(self, goals: Sequence[Goal]) -> None:
        for goal in goals if self.network.object_id else ():
            try:
                refuse_name(goal, network=self.network)
            except GoalRefused as refused:
                self.add_error(f"object_id_{goal.event}", str(refused))

    def proposed(self) -> ProposedSettings:
        """The settings that were entered, without those that are invalid."""
        return ProposedSettings(**{"network": self.network.kind, "pixel_id": "", "triggers": [], **self.cleaned_data})

    def clean_time_zone(self) -> str:
        """Return the stored time zone if none is posted, as by a program that does not know the field."""
        entered: str = self.cleaned_data["time_zone"]
        return entered or self.get_initial_for_field(self.fields["time_zone"], "time_zone")

    def clean_pixel_id(self) -> str:
        try:
            return read_pixel(self.network, self.cleaned_data["pixel_id"])
        except SettingsRefused as refused:
            raise forms.ValidationError(str(refused)) from refused

    @property
    def object_id_fields(self) -> list[forms.BoundField]:
        return [self[f"object_id_{name}"] for name, _ in TRIGGERS] if self.network.object_id else []


class HoldForm(forms.Form):
    """Why a postback is put on hold."""

    note = forms.CharField(
        label="Reason",
        max_length=200,
        required=False,
        help_text="Shown on the page of the postback and on the conversions that wait.",
        widget=forms.TextInput(attrs=NO_SUGGESTIONS),
    )


def _split(goals: Sequence[Goal]) -> tuple[Sequence[Goal], list[Goal]]:
    """Split into the goals of the rows and, at the end, those of ticked trigger events with a setting."""
    trigger_goals: list[Goal] = []
    while goals and _is_trigger_goal(goals[-1]):
        trigger_goals.insert(0, goals[-1])
        goals = goals[:-1]
    return goals, trigger_goals


def _is_trigger_goal(goal: Goal) -> bool:
    plain = Goal(goal.event, server_only=goal.server_only, object_id=goal.object_id)
    return goal.event in Trigger.values and goal == plain != Goal(goal.event)
