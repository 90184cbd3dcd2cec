"""The forms of the pages about tokens of the management API."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.html import format_html

from audience.accounts.tokens import MAX_NAME
from audience.hub.keys.forms import OVERLAPS
from audience.hub.toolkit.last_day import LastDayField
from audience.models import Role, Scope

SCOPES = [(scope.value, format_html("<span><code>{}</code> {}</span>", scope.value, scope.label)) for scope in Scope]
OVERLAPS_OF_TOKENS = ((0, "End the old token now"), *OVERLAPS[1:])


class TokenForm(forms.Form):
    """A new token of a member. It has the member's role in each game."""

    name = forms.CharField(
        max_length=MAX_NAME, help_text="Where it will be used, such as “CI” or “Nightly export of deliveries”."
    )
    scopes = forms.TypedMultipleChoiceField(
        choices=SCOPES,
        coerce=Scope,
        initial=[Scope.READ],
        widget=forms.CheckboxSelectMultiple,
        help_text="Select only what the program needs. The role still decides: a scope adds no rights. With the role "
        "of an admin, “members” is in effect every right, since it may invite an admin.",
        error_messages={"required": "Select at least one scope."},
    )
    ends_on = LastDayField(
        over="This day is over. Select a later one.",
        help_text="The token works until the end of this day (UTC).",
    )

    def values(self) -> dict[str, Any]:
        """Return the keyword arguments for create_user_token or create_game_token of a valid form."""
        data = dict(self.cleaned_data)
        return {"expires_at": data.pop("ends_on"), **data}


class GameTokenForm(TokenForm):
    """A new token of a game, with a role of its own."""

    role = forms.TypedChoiceField(
        choices=Role.choices,
        coerce=Role,
        initial=Role.VIEWER,
        widget=forms.RadioSelect,
        help_text="Viewers can view. Marketers can also manage postbacks. Admins can also manage keys, members and "
        "privacy.",
    )
    field_order = ("name", "role", "scopes", "ends_on")


class TokenRotateForm(forms.Form):
    """How long the old token works beside the new one."""

    overlap = forms.TypedChoiceField(
        label="Keep the old token working for",
        choices=OVERLAPS_OF_TOKENS,
        coerce=lambda seconds: timedelta(seconds=int(seconds)),
        initial=86_400,
        widget=forms.RadioSelect,
    )
