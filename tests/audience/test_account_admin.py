"""What an operator does with somebody's account: sees no secret, and ends a session for good."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from tests import hub

pytestmark = pytest.mark.django_db
SESSIONS = reverse("admin:usersessions_usersession_changelist")


@pytest.fixture
def session() -> UserSession:
    """Of somebody who is signed in."""
    person: Any = hub.user("colleague")
    key = hub.signed_in(person).session.session_key
    found, _ = UserSession.objects.get_or_create(user=person, session_key=key, defaults={"ip": "203.0.113.9"})
    return found


def test_a_session_that_is_deleted_is_over(admin_client: Client, session: UserSession) -> None:
    url = reverse("admin:usersessions_usersession_delete", args=[session.pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 302
    assert not UserSession.objects.filter(pk=session.pk).exists()
    assert not Session.objects.filter(pk=session.session_key).exists()


def test_sessions_that_are_selected_and_deleted_are_over(admin_client: Client, session: UserSession) -> None:
    chosen = {"action": "delete_selected", "_selected_action": [str(session.pk)], "post": "yes"}
    assert admin_client.post(SESSIONS, chosen).status_code == 302
    assert not UserSession.objects.filter(pk=session.pk).exists()
    assert not Session.objects.filter(pk=session.session_key).exists()


def test_a_second_factor_shows_no_secret_and_is_only_deleted(admin_client: Client, session: UserSession) -> None:
    row = Authenticator.objects.create(user=session.user, type="totp", data={"secret": "sealed-secret"})
    url = reverse("admin:mfa_authenticator_change", args=[row.pk])
    assert "sealed-secret" not in admin_client.get(url).content.decode()
    assert admin_client.post(url, {"type": "webauthn"}).status_code == 403
    row.refresh_from_db()
    assert (row.type, row.data) == ("totp", {"secret": "sealed-secret"})
    admin_client.post(reverse("admin:mfa_authenticator_delete", args=[row.pk]), {"post": "yes"})
    assert not Authenticator.objects.exists()


def test_permissions_are_boxes_and_are_kept(admin_client: Client) -> None:
    person: Any = hub.user("operator", is_staff=True)
    url = reverse("admin:auth_user_change", args=[person.pk])
    permission = Permission.objects.get(codename="change_delivery")
    page = admin_client.get(url).content.decode()
    assert f'type="checkbox" name="user_permissions" value="{permission.pk}"' in page
    form = {"username": "operator", "is_active": "on", "is_staff": "on", "user_permissions": [permission.pk]}
    assert admin_client.post(url, form).status_code == 302
    assert User.objects.get(pk=person.pk).has_perm("postbacks.change_delivery")
