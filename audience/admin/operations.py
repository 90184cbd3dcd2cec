"""The actions of the admin: each has a confirmation page that says what happens to which rows.

An action calls the function that the Hub calls, for each row. A refusal is a message on the list, never an error.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

# Maximum number of rows of one action.
MAX_SELECTED = 100
# Rows that are named in messages with the same sentence; of more rows the number is shown.
MAX_NAMED = 5
NO_ROWS = "The selected rows no longer exist, or the filter no longer matches them."

# Methods of a ModelAdmin: one that changes the selected rows, with the valid form of the confirmation page if there is
# one; and the admin action that runs it after a confirmation.
Method = Callable[..., HttpResponse | None]
Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]
# Makes the form of a confirmation page from the posted data, None before it is posted, and the selected rows.
FormOf = Callable[[Any, Sequence[Any]], forms.Form]


def confirmed_action(
    description: str,
    *,
    permission: str,
    title: str,
    warning: str,
    form: FormOf | None = None,
    explain: Callable[[Any], str] | None = None,
    limit: int = MAX_SELECTED,
) -> Callable[[Method], Action]:
    """Return a decorator that makes a method an admin action, with a confirmation page before it runs.

    `permission` names the has_<permission>_permission of the ModelAdmin that allows it. `explain` returns what happens
    to a row; `limit` is the maximum number of rows. The method is called with the request, the list of rows and, if the
    page has a form, the valid form; it returns the page to show, or None to return to the list.
    """

    def decorate(method: Method) -> Action:
        @admin.action(description=description, permissions=[permission])
        @wraps(method)
        def action(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            rows = list(queryset[: limit + 1])
            if not rows or len(rows) > limit:
                model_admin.message_user(request, _too_many(limit) if rows else NO_ROWS, messages.ERROR)
                return redirect(request.get_full_path())
            is_confirmed = "confirmed" in request.POST
            filled = form(request.POST if is_confirmed else None, rows) if form else None
            if is_confirmed and (filled is None or filled.is_valid()):
                return method(model_admin, request, rows, *([] if filled is None else [filled]))
            texts = {"title": title, "warning": warning, "button": description, "action": method.__name__}
            explained = [(row, explain(row) if explain else "") for row in rows]
            context = {**texts, "rows": explained, "checkbox": ACTION_CHECKBOX_NAME, "form": filled}
            return operation_page(model_admin, request, "admin/confirm_action.html", **context)

        return action

    return decorate


def _too_many(limit: int) -> str:
    return "Select one row." if limit == 1 else f"Select at most {limit} at a time."


def operation_page(model_admin: Any, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Return a page of the admin about the model of `model_admin`. The admin forbids browsers to store its pages."""
    given = {"opts": model_admin.model._meta, "media": model_admin.media, **context}
    return TemplateResponse(request, template, {**model_admin.admin_site.each_context(request), **given})


def for_each(
    model_admin: Any,
    request: HttpRequest,
    rows: Iterable[Model],
    change: Callable[[Any], str],
    *,
    refusals: tuple[type[Exception], ...],
) -> None:
    """Call `change` for each row and show the sentence that it returns; a refusal is shown instead.

    A sentence about many rows is shown once, with their number.
    """
    said: dict[tuple[int, str], list[str]] = defaultdict(list)
    for row in rows:
        try:
            sentence = change(row)
        except refusals as refusal:
            said[messages.WARNING, str(refusal)].append(str(row))
        else:
            model_admin.log_change(request, row, sentence)
            said[messages.SUCCESS, sentence].append(str(row))
    for (level, sentence), names in said.items():
        subjects = names if len(names) <= MAX_NAMED else [f"{len(names)} rows"]
        for subject in subjects:
            model_admin.message_user(request, f"{subject}: {sentence}", level)


def row_actions(model_admin: Any, request: HttpRequest) -> list[tuple[str, str]]:
    """Return (name, description) of the actions that the user may run, for the page of a row; not the deletion."""
    actions = model_admin.get_actions(request)
    return [(name, str(text)) for name, (_, _, text) in actions.items() if name != "delete_selected"]
