"""Base classes of the admin: read-only records, masked columns, and actions with a confirmation page."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import get_fields_from_path
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property

from audience.hub.toolkit.masking import masked

# Maximum number of rows of one action.
MAX_SELECTED = 100


class BoundedPaginator(Paginator[Any]):
    """Counts at most 5,000 rows, since counting a table of events takes too long."""

    LIMIT = 5_000

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by().values("pk")[: self.LIMIT].count() if isinstance(rows, QuerySet) else len(rows)


class DeclaredFilters:
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
    """A read-only ModelAdmin for large tables."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """The change permission allows the actions; the row itself is read-only."""
        return admin.ModelAdmin.has_change_permission(self, request)


class ReadOnlyInline(NoChanges, admin.TabularInline[Any, Any]):
    extra = 0


# Methods of a ModelAdmin: one that changes rows, and the admin action that runs it after a confirmation.
Method = Callable[[Any, HttpRequest, QuerySet[Any]], None]
Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]


def confirmed_action(description: str, *, permission: str, title: str, warning: str) -> Callable[[Method], Action]:
    """Return a decorator that makes a method an admin action, with a confirmation page before it runs.

    `permission` names the has_<permission>_permission of the ModelAdmin that allows it.
    """

    def decorate(method: Method) -> Action:
        @admin.action(description=description, permissions=[permission])
        @wraps(method)
        def action(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            if "confirmed" in request.POST:
                method(model_admin, request, queryset)
                return None
            if queryset.count() > MAX_SELECTED:
                model_admin.message_user(request, f"Select at most {MAX_SELECTED} at a time.", messages.ERROR)
                return redirect(request.get_full_path())
            context = {
                **model_admin.admin_site.each_context(request),
                "opts": model_admin.model._meta,
                "media": model_admin.media,
                "title": title,
                "warning": warning,
                "button": description,
                "action": method.__name__,
                "rows": list(queryset),
                "checkbox": ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/confirm_action.html", context)

        return action

    return decorate


def hub_page(name: str) -> Callable[[Any, Any], str]:
    """Return a `view_on_site` method that returns the URL of this page of the row's game."""
    return lambda _, row: reverse(name, kwargs={"slug": row.game.slug})


def fields_of(model: type[Model], *, exclude: Iterable[str] = (), masked: Sequence[str] = ()) -> list[Any]:
    """Return the names of the model's columns except `exclude`; those of `masked` last, as columns of @masks."""
    excluded = {*exclude, *masked}
    plain = [field.name for field in model._meta.fields if field.name not in excluded]
    return [*plain, *(f"masked_{name}" for name in masked)]
