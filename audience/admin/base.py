"""Base classes of the admin: read-only records and masked columns."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import get_fields_from_path
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from audience.admin.lists import FastList
from audience.admin.operations import row_actions
from audience.hub.toolkit.masking import masked


class DeclaredFilters(FastList):
    """A ModelAdmin that can be filtered by its list_filter and date_hierarchy only.

    Django accepts every column in the query string (`?session_key__startswith=`), shown or not, so that anyone who may
    view a list could guess a hidden value letter by letter.
    """

    def lookup_allowed(self: Any, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup in declared_lookups(self, request)


def declared_lookups(model_admin: Any, request: HttpRequest | None) -> set[str]:
    """Return the query parameters that the filters and date links of a ModelAdmin produce."""
    names: set[str] = set()
    for list_filter in model_admin.get_list_filter(request):
        if parameter := getattr(list_filter, "parameter_name", ""):
            names.add(parameter)
            continue
        path = list_filter[0] if isinstance(list_filter, (tuple, list)) else list_filter
        names |= {path, *(f"{path}__{lookup}" for lookup in ("exact", "isnull", "isempty", "gte", "lt"))}
        field: Any = get_fields_from_path(model_admin.model, path)[-1]
        if field.is_relation:
            names.add(f"{path}__{field.target_field.name}__exact")
    if model_admin.date_hierarchy:
        names |= {f"{model_admin.date_hierarchy}__{part}" for part in ("year", "month", "day", "gte", "lt")}
    return names


def masks(*names: str) -> Callable[[type], type]:
    """Add a column `masked_<name>` per field to a ModelAdmin: its value without tokens and secrets, as in the Hub."""

    def decorate(model_admin: type) -> type:
        for name in names:
            setattr(model_admin, f"masked_{name}", _masked_column(name))
        return model_admin

    return decorate


def _masked_column(name: str) -> Callable[[Any, Model], str]:
    @admin.display(description=name.replace("_", " "))
    def column(model_admin: Any, row: Model) -> str:
        value = masked(getattr(row, name), addresses=True)
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)

    return column


class NoChanges:
    """Rows can be viewed with the view permission, and not added, changed or deleted."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission


class ReadOnly(NoChanges, DeclaredFilters, admin.ModelAdmin[Any]):
    """A read-only ModelAdmin."""

    list_per_page = 50

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """The change permission allows the actions; the row itself is read-only."""
        return admin.ModelAdmin.has_change_permission(self, request)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Add the actions, which the page of a row has as buttons."""
        return super().render_change_form(
            request, {**context, "row_actions": row_actions(self, request)}, *args, **kwargs
        )


class ReadOnlyInline(NoChanges, admin.TabularInline[Any, Any]):
    extra = 0


def hub_page(name: str) -> Callable[[Any, Any], str]:
    """Return a `view_on_site` method that returns the URL of this page of the row's game."""
    return lambda _, row: reverse(name, kwargs={"slug": row.game.slug})


def fields_of(model: type[Model], *, exclude: Iterable[str] = (), masked: Sequence[str] = ()) -> list[Any]:
    """Return the names of the model's columns except `exclude`; those of `masked` last, as columns of @masks."""
    excluded = {*exclude, *masked}
    plain = [field.name for field in model._meta.fields if field.name not in excluded]
    return [*plain, *(f"masked_{name}" for name in masked)]
