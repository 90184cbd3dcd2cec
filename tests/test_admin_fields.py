"""Which fields of the admin can be edited: settings that a person owns, and nothing that a worker writes."""

from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.test import RequestFactory

from audience.models import Game
from tests import hub

pytestmark = pytest.mark.django_db
# Model -> the fields of its form, for a new row and for one that exists. Every other model has none.
EDITABLE = {
    "auth.group": {"name", "permissions"},
    "auth.user": {
        *("email", "username", "first_name", "last_name", "is_active", "is_staff", "is_superuser"),
        *("groups", "user_permissions"),
    },
    "audience.game": {
        *("name", "slug", "attribution_window_days", "network_windows", "strict_consent", "limited_data_use"),
        *("untagged_fbclid_is_paid", "kept_days", "time_zone", "reporting_currency"),
    },
    "audience.apikey": {
        *("name", "rate_limit", "allowed_events", "allowed_origins", "allowed_addresses", "ends_on"),
    },
}
# Rows that are added on a page with a form of its own, which calls the function of the Hub.
ADDED = {"audience.apikey", "audience.membership"}


@pytest.fixture
def request_of_root(rf: RequestFactory) -> HttpRequest:
    request = rf.get("/")
    request.user = hub.user("root", is_staff=True, is_superuser=True)  # type: ignore[assignment]
    return request


def editable(page: Any, request: HttpRequest, row: Model | None) -> set[str]:
    """The fields that a form for this row, or for a new one, saves."""
    allowed = page.has_change_permission(request, row) if row else page.has_add_permission(request)
    if not allowed or (row is None and page.model._meta.label_lower in ADDED):
        return set()
    form = page.get_form(request, row, change=row is not None)
    fields = {name for name, field in form.base_fields.items() if not field.disabled}
    return fields - set(page.get_readonly_fields(request, row))


def test_no_field_can_be_edited_that_is_not_listed(request_of_root: HttpRequest) -> None:
    found: dict[str, set[str]] = {}
    for model, page in admin.site._registry.items():
        row = model(slug="sky-raiders") if model is Game else model()
        fields = editable(page, request_of_root, None) | editable(page, request_of_root, row)
        if fields:
            found[model._meta.label_lower] = fields
    assert found == EDITABLE


def test_no_list_edits_a_row_in_place_and_no_row_within_another(request_of_root: HttpRequest) -> None:
    for page in admin.site._registry.values():
        assert not page.list_editable, page
        for inline in page.get_inline_instances(request_of_root):
            rights = (inline.has_add_permission, inline.has_change_permission, inline.has_delete_permission)
            assert not any(right(request_of_root, None) for right in rights), inline


def test_only_these_rows_can_be_added_or_deleted(request_of_root: HttpRequest) -> None:
    pages = {model._meta.label_lower: page for model, page in admin.site._registry.items()}
    added = {label for label, page in pages.items() if page.has_add_permission(request_of_root)}
    assert added == {"auth.group", "auth.user", "audience.game", "audience.apikey", "audience.membership"}
    request_of_root.resolver_match = None
    deleted = {label for label, page in pages.items() if page.has_delete_permission(request_of_root)}
    # A membership is deleted with its account only (tests/audience/test_admin_members.py).
    assert deleted == {
        *("auth.group", "auth.user", "mfa.authenticator", "usersessions.usersession", "audience.addresschange"),
        *("audience.accountsettings", "audience.signinpace", "audience.membership"),
        *("axes.accessattempt", "axes.accesslog", "axes.accessfailurelog"),
    }
