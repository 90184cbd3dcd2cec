"""Members and invitations by the management API."""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from audience.accounts import members, tokens
from audience.accounts.audit_log import entries
from audience.database import clock
from audience.models import ApiToken, Game, Invitation, Membership, Role, Scope
from tests import hub
from tests.management_api import game_api, member_api, problem_of, user_api

pytestmark = pytest.mark.django_db
SENDING = "django.core.mail.backends.locmem.EmailBackend"
BODY = {"email": "Grace@Studio.example", "role": "marketer"}


def member(game: Game, name: str, role: Role = Role.VIEWER) -> Membership:
    user: Any = hub.user(name)
    return Membership.objects.create(game=game, user=user, role=role)


def queries(api: Any, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert api.get(path).status_code == 200
    return len(captured)


# Members ---------------------------------------------------------------------------------------------------------


def test_admins_see_members_with_sign_ins_and_second_factors(game: Game) -> None:
    row = member(game, "ada", Role.MARKETER)
    Authenticator.objects.create(user=row.user, type="totp", data={})
    row.user.last_login = clock.now()
    row.user.save()
    member(game, "bo")
    listed = game_api(game, scopes=(Scope.READ,)).get(f"games/{game.slug}/members").json()["results"]
    assert [found["username"] for found in listed] == ["bo", "ada"]
    found = game_api(game).get(f"games/{game.slug}/members/{row.pk}").json()
    assert found == listed[1]
    times = (found.pop("joined_at"), found.pop("last_login_at"))
    assert all(moment.endswith("Z") for moment in times)
    assert found == {
        "id": row.pk,
        "email": "ada@studio.example",
        "username": "ada",
        "role": "marketer",
        "is_active": True,
        "is_administrator": False,
        "has_second_factor": True,
    }
    assert listed[0]["has_second_factor"] is False


def test_others_see_members_without_sign_ins_and_second_factors(game: Game) -> None:
    member(game, "ada")
    for api in (game_api(game, Role.MARKETER), game_api(game, Role.VIEWER)):
        (found,) = api.get(f"games/{game.slug}/members?role=viewer").json()["results"]
        assert (found["email"], found["has_second_factor"], found["last_login_at"]) == (
            "ada@studio.example",
            None,
            None,
        )


def test_the_list_takes_as_many_queries_for_thirty_members_as_for_three(game: Game) -> None:
    api, counts = game_api(game), []
    api.get("token")  # the first request also stores when the token was used
    for start, end in ((0, 3), (3, 30)):
        for number in range(start, end):
            member(game, f"member-{number}")
        counts.append(queries(api, f"games/{game.slug}/members"))
    assert counts[0] == counts[1]


def test_a_role_is_changed_and_a_member_removed_in_the_audit_log(game: Game) -> None:
    row = member(game, "ada")
    api, path = game_api(game, scopes=(Scope.MEMBERS,)), f"games/{game.slug}/members/{row.pk}"
    member(game, "bo", Role.ADMIN)
    assert api.patch(path, {"role": "marketer"}).json()["role"] == "marketer"
    assert api.delete(path).status_code == 204
    problem_of(api.delete(path), 404)
    found = entries(game).filter(content_type__model="membership", object_pk=str(row.pk)).order_by("pk")
    assert [(entry.action, entry.actor_email) for entry in found][1:] == [
        (1, "Token “Script”"),
        (2, "Token “Script”"),
    ]


def test_a_change_without_a_role_does_not_restore_the_one_that_was_read(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another admin changes the role in between."""
    row = member(game, "ada", Role.MARKETER)
    monkeypatch.setattr(members, "change_role", lambda **_: pytest.fail("the role was written"))
    api = game_api(game, scopes=(Scope.MEMBERS,))
    assert api.patch(f"games/{game.slug}/members/{row.pk}", {}).json()["role"] == "marketer"


def test_a_removal_revokes_the_service_tokens_of_the_member_if_asked(game: Game) -> None:
    api, live = game_api(game), ApiToken.objects.live().order_by("name").values_list("name", flat=True)
    for name, query, left in (
        ("ada", "", ["Script", "ada"]),
        ("bo", "?revoke_tokens=false", ["Script", "ada", "bo"]),
        ("cy", "?revoke_tokens=true", ["Script", "ada", "bo"]),
    ):
        row = member(game, name)
        values: dict[str, Any] = {"role": Role.ADMIN, "scopes": [Scope.READ], "created_by": row.user}
        tokens.create_game_token(game=game, name=name, **values)
        problem_of(api.delete(f"games/{game.slug}/members/{row.pk}?revoke_tokens=1"), 400)
        assert api.delete(f"games/{game.slug}/members/{row.pk}{query}").status_code == 204
        assert sorted(live.all()) == left


def test_a_game_keeps_an_admin(game: Game) -> None:
    row = member(game, "ada", Role.ADMIN)
    api, path = game_api(game), f"games/{game.slug}/members/{row.pk}"
    problem = problem_of(api.patch(path, {"role": "viewer"}), 409)
    assert problem["errors"][0]["field"] == "role"
    assert "Sky Raiders needs an admin" in problem["detail"]
    assert "Sky Raiders needs an admin" in problem_of(api.delete(path), 409)["detail"]
    row.refresh_from_db()
    assert row.role == Role.ADMIN


def test_changes_of_members_require_an_admin_and_the_scope(game: Game, other_game: Game) -> None:
    row, theirs = member(game, "ada"), member(other_game, "eve")
    path = f"games/{game.slug}/members/{row.pk}"
    refused = [member_api(game, Role.MARKETER), game_api(game, scopes=(Scope.READ, Scope.KEYS))]
    for api in refused:
        problem_of(api.patch(path, {"role": "admin"}), 403)
        problem_of(api.delete(path), 403)
    for outside in (f"games/{game.slug}/members/{theirs.pk}", f"games/{other_game.slug}/members/{theirs.pk}"):
        problem_of(game_api(game).patch(outside, {"role": "admin"}), 404)
        problem_of(game_api(game).delete(outside), 404)
    for body in ({"role": "owner"}, {"role": None}, {"role": ["admin"]}, {"user": 1}):
        problem_of(game_api(game).patch(path, body), 400)
    problem_of(game_api(game).patch(f"games/{game.slug}/members/abc", {"role": "admin"}), 404)
    problem_of(game_api(game).get(f"games/{game.slug}/members/{2**70}"), 404)
    assert set(Membership.objects.filter(pk__in=[row.pk, theirs.pk]).values_list("role", flat=True)) == {"viewer"}


# Invitations -----------------------------------------------------------------------------------------------------


@override_settings(EMAIL_BACKEND=SENDING)
def test_an_invitation_is_mailed_after_the_commit_and_its_link_is_not_returned(
    game: Game, django_capture_on_commit_callbacks: Any
) -> None:
    api = game_api(game)
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post(f"games/{game.slug}/invitations", BODY, idempotency_key="1")
        assert mail.outbox == []
    assert response.status_code == 201
    row = Invitation.objects.get()
    found = response.json()
    assert all(found.pop(name).endswith("Z") for name in ("created_at", "expires_at"))
    expected = {"id": row.pk, "email": "grace@studio.example", "role": "marketer", "state": "waiting"}
    assert found == {**expected, "invited_by": None, "is_mailed": True}
    (sent,) = mail.outbox
    link = re.search(r"/accounts/invitations/(\S+)/", sent.body)
    assert link
    assert members.find(link[1]) == row
    assert link[1] not in response.content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        api.post(f"games/{game.slug}/invitations", BODY, idempotency_key="1")
    assert len(mail.outbox) == 1
    entry = entries(game).filter(content_type__model="invitation").get()
    assert entry.actor_email == "Token “Script”"


def test_without_a_mail_server_the_answer_says_so(game: Game) -> None:
    with override_settings(EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend"):
        response = game_api(game).post(f"games/{game.slug}/invitations", {"email": "grace@studio.example"})
    assert (response.json()["is_mailed"], response.json()["role"]) == (False, "viewer")


def test_invitations_are_listed_sent_again_and_revoked(game: Game, django_capture_on_commit_callbacks: Any) -> None:
    inviter: Any = hub.user("ada")
    old = members.invite(game=game, email="old@x.example", role=Role.VIEWER, invited_by=inviter)
    members.invite(game=game, email="new@x.example", role=Role.ADMIN, invited_by=None)
    Invitation.objects.filter(pk=old.invitation.pk).update(expires_at=clock.now())
    api, path = game_api(game), f"games/{game.slug}/invitations"
    listed = api.get(path).json()["results"]
    assert [(row["email"], row["state"], row["invited_by"]) for row in listed] == [
        ("new@x.example", "waiting", None),
        ("old@x.example", "expired", "ada@studio.example"),
    ]
    one = f"{path}/{old.invitation.pk}"
    with django_capture_on_commit_callbacks(execute=True):
        assert api.post(f"{one}/resend").json()["state"] == "waiting"
    assert len(mail.outbox) == 1
    assert members.find(old.token) is None
    assert api.get(one).json() == api.get(path).json()["results"][1]
    assert api.post(f"{one}/revoke").status_code == 204
    assert problem_of(api.post(f"{one}/revoke"), 409)["detail"] == "This invitation was already used or revoked."
    problem_of(api.post(f"{one}/resend"), 409)
    problem_of(api.get(one), 404)
    assert [row["email"] for row in api.get(path).json()["results"]] == ["new@x.example"]


def test_the_link_of_an_invitation_is_only_for_superusers(game: Game) -> None:
    row = members.invite(game=game, email="grace@x.example", role=Role.VIEWER, invited_by=None)
    path = f"games/{game.slug}/invitations/{row.invitation.pk}/link"
    for api in (game_api(game), member_api(game, Role.ADMIN)):
        assert "Only a superuser can copy the link" in problem_of(api.post(path), 403)["detail"]
    assert members.find(row.token) is not None
    link = user_api(hub.user("root", is_superuser=True)).post(path).json()["link"]
    found = members.find(link.rstrip("/").rpartition("/")[2])
    assert found is not None
    assert found.pk == row.invitation.pk
    assert mail.outbox == []


def test_members_and_invited_addresses_are_refused(game: Game, django_capture_on_commit_callbacks: Any) -> None:
    member(game, "grace")
    api, path = game_api(game), f"games/{game.slug}/invitations"
    with django_capture_on_commit_callbacks(execute=True):
        problem = problem_of(api.post(path, BODY), 409)
        assert problem["errors"] == [
            {
                "field": "email",
                "code": "conflict",
                "message": "grace@studio.example is already a member of Sky Raiders.",
            }
        ]
        for body in ({"email": "no address"}, {"email": 5}, {"email": "a@x.example", "role": "owner"}, {}):
            problem_of(api.post(path, body), 400)
        problem_of(game_api(game, Role.MARKETER).post(path, {"email": "a@x.example"}), 403)
        problem_of(game_api(game, scopes=(Scope.READ,)).post(path, {"email": "a@x.example"}), 403)
    assert (Invitation.objects.count(), mail.outbox) == (0, [])


def test_only_admins_read_invitations_and_those_of_others_are_not_found(game: Game, other_game: Game) -> None:
    theirs = members.invite(game=other_game, email="a@x.example", role=Role.VIEWER, invited_by=None).invitation
    problem_of(game_api(game, Role.MARKETER).get(f"games/{game.slug}/invitations"), 403)
    api = game_api(game)
    for slug in (game.slug, other_game.slug):
        problem_of(api.get(f"games/{slug}/invitations/{theirs.pk}"), 404)
        for act in ("resend", "link", "revoke"):
            problem_of(api.post(f"games/{slug}/invitations/{theirs.pk}/{act}"), 404)
    theirs.refresh_from_db()
    assert theirs.is_open
    assert theirs.expires_at - clock.now() > timedelta(days=6)


def test_the_list_takes_as_many_queries_for_thirty_invitations_as_for_three(game: Game) -> None:
    api, counts = game_api(game), []
    api.get("token")  # the first request also stores when the token was used
    for start, end in ((0, 3), (3, 30)):
        for number in range(start, end):
            inviter: Any = hub.user(f"inviter-{number}")
            members.invite(game=game, email=f"{number}@x.example", role=Role.VIEWER, invited_by=inviter)
        counts.append(queries(api, f"games/{game.slug}/invitations"))
    assert counts[0] == counts[1]
