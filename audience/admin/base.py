"""Base classes of the admin: read-only records, masked columns, and actions that ask to be confirmed."""

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

# Rows that one action accepts.
MAX_SELECTED = 100


class BoundedPaginator(Paginator[Any]):
    """Counts at most 5,000 rows, since counting a table of events takes too long."""

    LIMIT = 5_000

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by().values("pk")[: self.LIMIT].count() if isinstance(rows, QuerySet) else len(rows)


class DeclaredFilters:
    """A ModelAdmin that can be filtered by its own list_filter and date_hierarchy only.

    Django accepts every column in the query string (`?session_key__startswith=`), shown or not, which would let any
    viewer of a list guess a hidden value letter by letter.
    """

    def lookup_allowed(self: Any, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup in declared_lookups(self, request)


def declared_lookups(page: Any, request: HttpRequest | None) -> set[str]:
    """Return the query parameters that the filters and date links of this page produce."""
    names: set[str] = set()
    for given in page.get_list_filter(request):
        if parameter := getattr(given, "parameter_name", ""):
            names.add(parameter)
            continue
        path = given[0] if isinstance(given, (tuple, list)) else given
        names |= {path, *(f"{path}__{how}" for how in ("exact", "isnull", "isempty", "gte", "lt"))}
        field: Any = get_fields_from_path(page.model, path)[-1]
        if field.is_relation:
            names.add(f"{path}__{field.target_field.name}__exact")
    if page.date_hierarchy:
        names |= {f"{page.date_hierarchy}__{part}" for part in ("year", "month", "day", "gte", "lt")}
    return names


def masks(*names: str) -> Callable[[type], type]:
    """Add a column `masked_<name>` per field to a ModelAdmin: its value without tokens and secrets, as in the Hub."""

    def decorate(page: type) -> type:
        for name in names:
            setattr(page, f"masked_{name}", _masked_column(name))
        return page

    return decorate


def _masked_column(name: str) -> Callable[[Any, Model], str]:
    @admin.display(description=name.replace("_", " "))
    def column(page: Any, row: Model) -> str:
        value = masked(getattr(row, name), addresses=True)
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)

    return column


class NoChanges:
    """Viewed with the view permission, changed by nobody."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission


class ReadOnly(NoChanges, DeclaredFilters, admin.ModelAdmin[Any]):
    """A record that is only read here."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """The change permission allows the actions; the row itself is read-only."""
        return admin.ModelAdmin.has_change_permission(self, request)


class ReadOnlyInline(NoChanges, admin.TabularInline[Any, Any]):
    extra = 0


# What a confirmed action does, and the action of the admin made of it: methods of a ModelAdmin.
Work = Callable[[Any, HttpRequest, QuerySet[Any]], None]
Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]


def confirmed_action(description: str, *, permission: str, title: str, warning: str) -> Callable[[Work], Action]:
    """Return a decorator that makes a method an admin action, which asks to confirm it before it runs.

    `permission` names the has_<permission>_permission of the ModelAdmin that allows it.
    """

    def decorate(work: Work) -> Action:
        @admin.action(description=description, permissions=[permission])
        @wraps(work)
        def action(page: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            if "confirmed" in request.POST:
                work(page, request, queryset)
                return None
            if queryset.count() > MAX_SELECTED:
                page.message_user(request, f"Select at most {MAX_SELECTED} at a time.", messages.ERROR)
                return redirect(request.get_full_path())
            context = {
                **page.admin_site.each_context(request),
                "opts": page.model._meta,
                "media": page.media,
                "title": title,
                "warning": warning,
                "button": description,
                "action": work.__name__,
                "rows": list(queryset),
                "checkbox": ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/confirm_action.html", context)

        return action

    return decorate


def hub_page(name: str) -> Callable[[Any, Any], str]:
    """Return a `view_on_site` method that returns the URL of this page of the row's game."""
    return lambda _, row: reverse(name, kwargs={"slug": row.game.slug})


def fields_of(model: type[Model], *, besides: Iterable[str] = (), masked: Sequence[str] = ()) -> list[Any]:
    """Return the names of all columns of a model except `besides`, with the columns of @masks last."""
    left_out = {*besides, *masked}
    plain = [field.name for field in model._meta.fields if field.name not in left_out]
    return [*plain, *(f"masked_{name}" for name in masked)]
