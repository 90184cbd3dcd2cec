"""The fields of a form that say which events count for a goal."""

from collections.abc import Mapping
from typing import Any

from django import forms

from postbacks.outbox.conditions import OPERATORS
from postbacks.outbox.goals import Goal

# For codes and names: no suggestions and no spell checking by the browser.
NO_SUGGESTIONS = {"autocomplete": "off", "spellcheck": "false"}
# Key of a goal's JSON -> field of the form, where the names differ.
FIELDS = {"property": "path"}


class GoalDefinition(forms.Form):
    """The part of a goal that does not depend on a network."""

    use_required_attribute = False

    event = forms.CharField(label="Event name", required=False, widget=forms.TextInput(attrs=NO_SUGGESTIONS))
    path = forms.CharField(label="Only if the property", required=False, widget=forms.TextInput(attrs=NO_SUGGESTIONS))
    op = forms.ChoiceField(
        label="Comparison",
        required=False,
        choices=[("", "—"), *OPERATORS.items()],
        error_messages={"invalid_choice": "Select one of the offered operators."},
    )
    value = forms.CharField(required=False, widget=forms.TextInput(attrs=NO_SUGGESTIONS))
    once = forms.BooleanField(label="Once per player", required=False)
    server_only = forms.BooleanField(label="Only from a server key", required=False)
    repeat_orders = forms.BooleanField(label="Every event of an order", required=False)


DEFINITION_FIELDS = tuple(GoalDefinition.base_fields)


def definition_json(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """The definition as in PostbackConfig.goals, not validated yet."""
    op, value = cleaned["op"], cleaned["value"]
    condition = {"property": cleaned["path"], "op": op, "value": value.split(",") if op == "in" else value}
    return {
        "event": cleaned["event"],
        "once": cleaned["once"],
        "server_only": cleaned["server_only"],
        "repeat_orders": cleaned["repeat_orders"],
        "condition": condition if cleaned["path"] or op or value else None,
    }


def definition_initial(goal: Goal) -> dict[str, Any]:
    """The values of the fields that show this goal."""
    condition = goal.condition
    return {
        "event": goal.event,
        "once": goal.once,
        "server_only": goal.server_only,
        "repeat_orders": goal.repeat_orders,
        "path": condition.property if condition else "",
        "op": condition.op if condition else "",
        "value": ", ".join(condition.values) if condition else "",
    }
