"""What the admin classes share: records that are only read, and actions that ask before they act."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import cached_property

# Rows that one action takes: more are a replay's job, or a mistake.
MOST = 100


class BoundedPaginator(Paginator[Any]):
    """Counts to 5,000 and no further: a table of events is too long to be counted for a page number."""

    LIMIT = 5_000

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by().values("pk")[: self.LIMIT].count() if isinstance(rows, QuerySet) else len(rows)


class Untouched:
    """Seen by whom the permissions let see, changed by nobody."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnly(Untouched, admin.ModelAdmin[Any]):
    """A record: looked at here, written elsewhere."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50


class ReadOnlyInline(Untouched, admin.TabularInline[Any, Any]):
    extra = 0


def asked(
    page: admin.ModelAdmin[Any],
    request: HttpRequest,
    rows: QuerySet[Any],
    *,
    action: str,
    title: str,
    warning: str,
    button: str,
) -> HttpResponse | None:
    """The page that asks whether `action` is to be done to `rows`; None once that was confirmed."""
    if "confirmed" in request.POST:
        return None
    if rows.count() > MOST:
        page.message_user(request, f"Select at most {MOST} at a time.", messages.ERROR)
        return redirect(request.get_full_path())
    context = {
        **page.admin_site.each_context(request),
        "opts": page.model._meta,
        "media": page.media,
        "title": title,
        "warning": warning,
        "button": button,
        "action": action,
        "rows": list(rows),
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)


def fields_of(model: type[Model], *, besides: tuple[str, ...] = ()) -> list[Any]:
    """Every column of a model by name."""
    return [field.name for field in model._meta.fields if field.name not in besides]
