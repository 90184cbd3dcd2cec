"""No page, field or lookup of the admin reveals a hidden value."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from auditlog.models import LogEntry
from axes.models import AccessAttempt, AccessLog
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse

from audience.admin.base import DeclaredFilters
from audience.models import Device, Game, Role
from postbacks.models import AlertHook
from tests import factories, hub
from tests.audience.test_hub_events import event, rejection

pytestmark = pytest.mark.django_db
# What must not be found out, by the name of the column; `url` of a hook and `data` of a second factor by their model.
SECRET = re.compile(
    r"^password$|session|secret|digest$|token|^(previous_)?credential|hash$|^frame$|^raw$|(get|post)_data"
)
SECRET_COLUMNS = {("alerthook", "url"), ("authenticator", "data"), ("usersession", "data"), ("apikey", "value")}
# A receipt's subject is looked up by the whole hash, which whoever asks has computed.
BY_WHOLE_VALUE = {("erasure", "subject_hash")}
TEXT = ("exact", "iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "regex")
OTHERS = ("iregex", "in", "gt", "gte", "lt", "lte", "range", "isnull", "length__gt", "trigram_similar", "search")


def pages() -> Iterator[tuple[type[Model], Any]]:
    for model in apps.get_models():
        if admin.site.is_registered(model):
            yield model, admin.site.get_model_admin(model)


def fields_of(model: type[Model]) -> list[str]:
    """Every column and relation, forward and back."""
    return [field.name for field in model._meta.get_fields()]


def is_secret(model: type[Model], name: str) -> bool:
    pair = (str(model._meta.model_name), name)
    return pair in SECRET_COLUMNS or (bool(SECRET.search(name)) and pair not in BY_WHOLE_VALUE)


def paths_of(model: type[Model]) -> Iterator[str]:
    """Every field, and every field of what it leads to, two steps far."""
    for field in model._meta.get_fields():
        yield field.name
        for inner in fields_of(field.related_model) if isinstance(field.related_model, type) else ():
            yield f"{field.name}__{inner}"


@pytest.fixture
def operator(db: None) -> User:
    """Staff who may see everything, and change nothing."""
    person: Any = hub.user("operator", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return person


def listed(page: Any, person: User, **params: str) -> Any:
    request = RequestFactory().get("/", params)
    request.user = person
    return page.get_changelist_instance(request)


def declared(page: Any, person: User) -> set[str]:
    """The first names of what a page says it filters by."""
    request = RequestFactory().get("/")
    request.user = person
    given = [spec[0] if isinstance(spec, (tuple, list)) else spec for spec in page.get_list_filter(request)]
    names = {getattr(spec, "parameter_name", None) or spec for spec in given}
    return {str(name) for name in names} | ({page.date_hierarchy} if page.date_hierarchy else set())


def leads_to(model: type[Model], path: str) -> tuple[type[Model], str]:
    """The model and the column that a path such as `game__name` or an order such as `-created_at` is about."""
    *steps, name = path.lstrip("-=^@").split("__")
    for step in steps:
        model = model._meta.get_field(step).related_model  # type: ignore[assignment]
    return model, name


def test_every_page_of_the_admin_filters_by_declared_fields_only() -> None:
    assert [model for model, page in pages() if not isinstance(page, DeclaredFilters)] == []


def test_no_page_filters_searches_or_orders_by_a_secret(operator: User) -> None:
    found = []
    request = RequestFactory().get("/")
    request.user = operator
    for model, page in pages():
        used = declared(page, operator) | {
            re.sub(r"^[=^@]|__(exact|contains)$", "", name) for name in page.search_fields or ()
        }
        columns = listed(page, operator)
        used |= {columns.get_ordering_field(name) for name in page.get_list_display(request)} - {None}
        used |= {str(name).lstrip("-") for name in page.get_ordering(request)} | set(page.get_list_display(request))
        for path in (name for name in used if name and not str(name).startswith("__")):
            if is_secret(*leads_to(model, str(path))):
                found.append(f"{model._meta.label} by {path}")
    assert found == []


def test_no_page_accepts_a_lookup_that_it_does_not_declare(operator: User) -> None:
    """Also those a declared relation leads to: `game__api_keys__digest__startswith`."""
    allowed, asked = [], 0
    request = RequestFactory().get("/")
    request.user = operator
    for model, page in pages():
        known = declared(page, operator)
        for path in paths_of(model):
            for how in ("", *TEXT, *OTHERS) if "__" not in path else ("", "exact", "startswith", "in", "isnull"):
                asked += 1
                lookup = f"{path}__{how}" if how else path
                if page.lookup_allowed(lookup, "x", request):
                    steps = {lookup[: match.start()] for match in re.finditer("__|$", lookup)}
                    if not known & steps or how in TEXT[1:] + OTHERS[:2]:
                        allowed.append(f"{model._meta.label}?{lookup}")
    assert asked > 10_000
    assert allowed == []


def secrets(game: Game, operator: User) -> dict[type[Model], tuple[Model, str, str]]:
    """A row with a secret in it: its model, the column and the value."""
    hook = AlertHook.objects.create(game=game, url="https://chat.example/hidden-path", secret={"key": "k"})
    session = UserSession.objects.create(user=operator, ip="192.0.2.1", session_key="s3ss10nkeys3ss10nkey")
    factor = Authenticator.objects.create(user=operator, type="totp", data={"secret": "gAAAAsealed"})
    device = Device.objects.create(game=game, person=factories.person(game), device_id="d", token="fcm-secret-token")
    log = AccessLog.objects.create(username="x", session_hash="ab" * 32)
    attempt = AccessAttempt.objects.create(
        username="x", get_data="next=/accounts/invitations/t0ken/", post_data="", failures_since_start=1
    )
    return {
        AlertHook: (hook, "url", "https://chat.example/hidden-path"),
        UserSession: (session, "session_key", session.session_key),
        Authenticator: (factor, "data__secret", "gAAAAsealed"),
        Device: (device, "token", "fcm-secret-token"),
        AccessLog: (log, "session_hash", "ab" * 32),
        AccessAttempt: (attempt, "get_data", "t0ken"),
        User: (operator, "password", operator.password),
    }


def test_a_hidden_value_is_not_found_out_by_asking(game: Game, operator: User) -> None:
    client = hub.signed_in(operator)
    for model, (row, column, value) in secrets(game, operator).items():
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for how in TEXT:
            answer = client.get(url, {f"{column}__{how}": value[:8] if how != "exact" else value})
            assert answer.status_code == 400, (model, how)
        for text in (value, value[:8]):
            assert client.get(url, {"q": text}).context["cl"].result_count == 0, model
        one = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
        for page in (client.get(url), client.get(one), client.get(one.replace("change/", "history/"))):
            assert page.status_code == 200, model
            assert value not in page.content.decode(), model


def test_no_order_of_a_list_follows_a_hidden_column(game: Game, operator: User) -> None:
    for model in secrets(game, operator):
        page = admin.site.get_model_admin(model)
        for number in range(1, 12):
            request = RequestFactory().get("/", {"o": str(number)})
            request.user = operator
            order = page.get_changelist_instance(request).get_ordering(request, page.get_queryset(request))
            assert [name for name in order if is_secret(model, str(name).lstrip("-"))] == [], model


def test_a_popup_accepts_no_hidden_column_as_its_value(game: Game, operator: User) -> None:
    client = hub.signed_in(operator)
    for model, (_, column, _) in secrets(game, operator).items():
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        answer = client.get(url, {"_to_field": column.split("__")[0], "_popup": "1"})
        assert answer.status_code == 400, model


def test_an_autocompletion_reveals_only_a_name(game: Game, operator: User) -> None:
    client = hub.signed_in(operator)
    for model, name in ((User, "groups"), (AlertHook, "game"), (UserSession, "user")):
        asked = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": name}
        answer = client.get(reverse("admin:autocomplete"), {**asked, "term": "p"})
        if answer.status_code == 200:
            assert {key for row in answer.json()["results"] for key in row} <= {"id", "text"}
            assert "pbkdf2" not in answer.content.decode()


def test_what_a_deletion_lists_names_no_secret(game: Game) -> None:
    root: Any = hub.user("root", is_staff=True, is_superuser=True)
    client, rows = hub.signed_in(root), secrets(game, root)
    page = client.get(reverse("admin:auth_user_delete", args=[root.pk])).content.decode()
    assert [value for _, _, value in rows.values() if value in page] == []
    chosen = {"action": "delete_selected", "_selected_action": [str(root.pk)]}
    page = client.post(reverse("admin:auth_user_changelist"), chosen).content.decode()
    assert [value for _, _, value in rows.values() if value in page] == []


def test_the_declared_filters_still_work(game: Game, operator: User) -> None:
    client = hub.signed_in(operator)
    asked = {
        "audience_membership": {"role__exact": "admin", "game__id__exact": str(game.pk)},
        "postbacks_delivery": {"state__exact": "failed", "network": "tiktok"},
        "postbacks_adcost": {"day__gte": "2026-01-01", "day__lt": "2026-02-01"},
        "audience_apikey": {"revoked_at__isempty": "1"},
        "axes_accessattempt": {"locked_out": "yes"},
        "auth_user": {"is_staff__exact": "1"},
        "auditlog_logentry": {"action__exact": "1"},
        "usersessions_usersession": {
            "created_at__gte": "2026-01-01 00:00:00+00:00",
            "created_at__lt": "2026-02-01 00:00:00+00:00",
        },
    }
    for name, params in asked.items():
        assert client.get(reverse(f"admin:{name}_changelist"), params).status_code == 200, name
    hub.member(game, Role.ADMIN)
    page = admin.site.get_model_admin(LogEntry)
    assert listed(page, operator, action__exact="0").result_count > 0


def test_the_page_of_an_event_masks_tokens_and_secrets_as_the_hub_does(game: Game, operator: User) -> None:
    client = hub.signed_in(operator)
    told = {
        "password": "correct-horse-battery-staple",
        "deviceToken": "fcm-" + "x" * 40,
        "note": "sk_imapik-0123456789abcdef",
    }
    row = event(game, 1, user_id="ada", context={"device": told}, properties=told, raw={"message": told})
    refused = rejection(game, 1)
    type(refused).objects.filter(pk=refused.pk).update(raw=told, frame=told)
    for model, pk in (("event", row.pk), ("rejection", refused.pk)):
        page = client.get(reverse(f"admin:audience_{model}_change", args=[pk])).content.decode()
        assert "correct-…" in page, model
        assert "fcm-xxxx…" in page, model
        for secret in told.values():
            assert secret not in page, model
