"""API keys: created, changed, rotated and revoked by the functions that the Hub calls.

A secret is shown only on the page that answers the request: no redirect, session, URL, log or history contains it.
"""

from datetime import UTC, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from audience.admin.base import ReadOnly, hub_page
from audience.admin.operations import confirmed_action, for_each, operation_page
from audience.games import keys
from audience.hub.keys.forms import KeyForm, RestrictionsForm, RotateForm
from audience.models import ApiKey, Game
from audience.wording import dates

RESTRICTIONS = ("allowed_events", "allowed_origins", "allowed_addresses")


class NewKeyForm(KeyForm):
    """The attributes and restrictions of a new key of a game."""

    game = forms.ModelChoiceField(Game.objects.order_by("name"))
    field_order = ("game",)

    class Meta(KeyForm.Meta):
        fields = [*KeyForm.Meta.fields, "rate_limit"]


class ChangedKeyForm(forms.ModelForm[ApiKey], RestrictionsForm):
    """The name, restrictions and rate limit of a key."""

    class Meta:
        model = ApiKey
        fields = ["name", "rate_limit"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        until = self.instance.expires_at
        self.initial["ends_on"] = (until.astimezone(UTC) - timedelta(microseconds=1)).date() if until else None


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    list_display = ["name", "prefix", "game", "kind", "environment", "dialect", "last_used_at", "state"]
    list_filter = ["kind", "environment", "dialect", ("revoked_at", admin.EmptyFieldListFilter), "game"]
    list_select_related = ["game"]
    search_fields = ["name", "prefix", "game__name"]
    readonly_fields = [
        *("game", "kind", "environment", "dialect", "prefix", "state"),
        *("created_by", "created_at", "last_used_at", "expires_at", "revoked_at", "replaced_by"),
    ]
    form = ChangedKeyForm
    actions = ["rotate", "revoke"]
    view_on_site = hub_page("keys")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out the last day of a key whose end cannot be changed; the end itself is among the others."""
        last_day = [] if obj is None or obj.replaced_by_id or not obj.is_live else ["ends_on"]
        return ["name", *RESTRICTIONS, *last_day, "rate_limit", *self.readonly_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Of a key that has ended, only the name can be changed."""
        ended = [] if obj is None or obj.is_live else [*RESTRICTIONS, "rate_limit"]
        return [*ended, *self.readonly_fields]

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Save a changed key; keys are created by `add_view`."""
        data = form.cleaned_data
        if "rate_limit" not in data:
            keys.rename_key(key=obj, name=data["name"])
            return
        keys.change_key(key=obj, name=data["name"], restrictions=form.restrictions(), rate_limit=data["rate_limit"])

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = NewKeyForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            data = form.cleaned_data
            new = keys.create_key(
                game=data["game"], created_by=request.user, rate_limit=data["rate_limit"], **form.attributes()
            )
            self.log_addition(request, new.key, "The key was created.")
            return self._answer(request, "Key created", [(new, None)])
        warning = "The key works at once. Its value is shown once, on the next page."
        context = {"title": "Add API key", "warning": warning, "button": "Create key", "form": form}
        return operation_page(self, request, "admin/operation.html", **context)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "Revoked"
        if not key.is_live:
            return "Replaced" if key.replaced_by_id else "Ended"
        until = f" until {dates.moment(key.expires_at)}" if key.expires_at else ""
        return f"Rotating{until}" if key.is_rotating else f"Live{until}"

    @confirmed_action(
        "Rotate",
        permission="change",
        title="Rotate these keys?",
        warning="Each key gets a successor with the same restrictions, whose value is shown once, on the next page. "
        "The old key works beside it for the time below, then its requests are rejected.",
        form=lambda data, _: RotateForm(data),
    )
    def rotate(self, request: HttpRequest, rows: list[ApiKey], form: RotateForm) -> HttpResponse | None:
        created: list[tuple[keys.NewKey, ApiKey | None]] = []
        for key in rows:
            try:
                new = keys.rotate_key(key=key, overlap=form.cleaned_data["overlap"], rotated_by=request.user)
            except keys.KeyRefused as refusal:
                self.message_user(request, f"{key}: {refusal}", messages.WARNING)
                continue
            self.log_change(request, key, "The key was rotated.")
            created.append((new, key))
        return self._answer(request, "Keys rotated", created) if created else None

    @confirmed_action(
        "Revoke",
        permission="change",
        title="Revoke these keys?",
        warning="Every request with one of these keys is rejected from then on, and events sent with it are lost.",
    )
    def revoke(self, request: HttpRequest, rows: list[ApiKey]) -> None:
        def revoke(key: ApiKey) -> str:
            if key.revoked_at:
                raise keys.KeyRefused("The key was revoked already.")
            keys.revoke_key(key=key)
            return "The key was revoked."

        for_each(self, request, rows, revoke, refusals=(keys.KeyRefused,))

    def _answer(
        self, request: HttpRequest, title: str, created: list[tuple[keys.NewKey, ApiKey | None]]
    ) -> HttpResponse:
        return operation_page(self, request, "admin/new_keys.html", title=title, created=created)
