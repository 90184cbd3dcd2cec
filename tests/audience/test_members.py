"""Members of a game: invitations, roles, removal, and at least one admin."""

import contextlib
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audience.accounts import members, tokens
from audience.accounts.members import MembersError
from audience.models import ApiToken, Game, Invitation, Membership, Role, Scope
from audience.models.keys import sha256_hex
from tests import factories, hub
from tests.audience.concurrency import in_thread, own_connection, wait_for_a_lock

NEW = "new@studio.example"
PASSWORD = "correct horse battery"


@pytest.fixture
def admin(game: Game) -> Client:
    return hub.member(game, Role.ADMIN)


def path(game: Game, rest: str = "") -> str:
    return f"/g/{game.slug}/members/{rest}"


def mailed_path() -> str:
    """The path of the link in the newest mail."""
    found = re.search(r"https?://\S+/accounts/invitations/\S+", mail.outbox[-1].body)
    assert found
    return urlsplit(found[0]).path


def invite(admin: Client, game: Game, *, email: str = NEW, role: str = "marketer") -> str:
    """Invite somebody through the page; the path of the mailed link."""
    assert admin.post(path(game, "invite/"), {"email": email, "role": role}).status_code == 302
    return mailed_path()


def member_of(game: Game, name: str) -> Membership:
    return Membership.objects.get(game=game, user__username=name)


def joining(link: str, **given: str) -> tuple[Client, Any]:
    """A new person's browser, and the answer to the chosen password."""
    client = Client()
    return client, client.post(link, {"password": PASSWORD, "again": PASSWORD, **given})


def test_an_invitation_is_mailed_and_only_its_digest_is_stored(game: Game, admin: Client, settings: Any) -> None:
    settings.PUBLIC_URL = "https://hub.example"
    link = invite(admin, game, email=" New@Studio.example ")
    token = link.rstrip("/").rsplit("/", 1)[1]
    message = mail.outbox[0]
    assert (message.to, message.subject) == ([NEW], "[Afterclick] You are invited to Sky Raiders")
    assert f"https://hub.example{link}" in message.body
    assert "admin-of-sky-raiders@studio.example invites you to Sky Raiders on Afterclick, as marketer." in message.body
    kept = Invitation.objects.get()
    assert (kept.email, kept.role, kept.digest) == (NEW, "marketer", sha256_hex(token))
    assert timedelta(days=6, hours=23) < kept.expires_at - timezone.now() <= timedelta(days=7)
    assert token not in str(list(Invitation.objects.values())) + str(list(LogEntry.objects.values()))
    assert sha256_hex(token) not in str(list(LogEntry.objects.values()))


def test_a_new_user_chooses_a_password_and_becomes_a_member(game: Game, admin: Client) -> None:
    link = invite(admin, game)
    page = Client().get(link).content.decode()
    assert f'value="{NEW}"' in page
    assert "as marketer. Choose a password" in page
    client, answer = joining(link)
    assert (answer.status_code, answer["Location"]) == (302, f"/g/{game.slug}/")
    user = User.objects.get(email=NEW)
    assert user.check_password(PASSWORD)
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert Membership.objects.get(user=user).role == Role.MARKETER
    assert client.get(f"/g/{game.slug}/").status_code == 200
    assert Client().post("/accounts/login/", {"login": NEW, "password": PASSWORD}).status_code == 302


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"password": "short7!", "again": "short7!"}, "too short"),
        ({"password": "password123", "again": "password123"}, "too common"),
        ({"password": "new@studio.example", "again": "new@studio.example"}, "too similar to the email"),
        ({"again": "another password"}, "The passwords do not match."),
        ({"password": "", "again": ""}, "This field is required."),
    ],
)
def test_a_weak_password_creates_no_account(game: Game, admin: Client, given: dict[str, str], said: str) -> None:
    _, answer = joining(invite(admin, game), **given)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not User.objects.filter(email=NEW).exists()
    assert Invitation.objects.get().is_open


def test_an_invitation_link_works_once(game: Game, admin: Client) -> None:
    link = invite(admin, game)
    joining(link)
    for client in (Client(), admin):
        for answer in (client.get(link), client.post(link, {"password": PASSWORD, "again": PASSWORD})):
            assert answer.status_code == 410
            assert "This invitation was used" in answer.content.decode()
    assert User.objects.count() == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "This invitation has expired"),
        ({"revoked_at": timezone.now()}, "This invitation was revoked"),
    ],
)
def test_an_expired_or_revoked_invitation_link_is_refused(
    game: Game, admin: Client, change: dict[str, Any], said: str
) -> None:
    link = invite(admin, game)
    Invitation.objects.update(**change)
    _, answer = joining(link)
    assert answer.status_code == 410
    assert said in answer.content.decode()
    assert User.objects.count() == Membership.objects.count() == 1


def test_an_unknown_invitation_link_is_not_found(db: None) -> None:
    answer = Client().get("/accounts/invitations/" + "x" * 43 + "/")
    assert answer.status_code == 404
    assert "Invitation not found" in answer.content.decode()


def test_a_user_with_an_account_signs_in_and_joins(game: Game, admin: Client) -> None:
    hub.user("new")
    link, client = invite(admin, game), Client()
    answer = client.get(link)
    assert answer["Location"] == f"/accounts/login/?next={link}"
    answer = client.post("/accounts/login/", {"login": NEW, "password": hub.PASSWORD, "next": link})
    assert answer["Location"] == link
    assert "Join Sky Raiders" in client.get(link).content.decode()
    assert not Membership.objects.filter(user__email=NEW).exists()
    assert client.post(link)["Location"] == f"/g/{game.slug}/"
    assert member_of(game, "new").role == Role.MARKETER
    assert User.objects.filter(email=NEW).count() == 1


def test_a_link_for_another_address_than_the_signed_in_one_is_refused(game: Game, admin: Client) -> None:
    link, other = invite(admin, game), hub.signed_in(hub.user("other"))
    for answer in (other.get(link), other.post(link)):
        page = answer.content.decode()
        assert "This invitation is for someone else" in page
        assert NEW in page
        assert "other@studio.example" in page
    assert not Membership.objects.filter(user__username="other").exists()
    assert Invitation.objects.get().is_open


def test_a_member_is_not_invited_again(game: Game, admin: Client) -> None:
    hub.member(game, Role.VIEWER)
    answer = admin.post(path(game, "invite/"), {"email": "VIEWER-of-sky-raiders@studio.example", "role": "admin"})
    assert "is already a member of Sky Raiders." in answer.content.decode()
    assert (Invitation.objects.count(), len(mail.outbox)) == (0, 0)


def test_an_invited_address_is_not_invited_twice_but_again_after_it_expired(game: Game, admin: Client) -> None:
    first = invite(admin, game)
    answer = admin.post(path(game, "invite/"), {"email": NEW, "role": "admin"})
    assert "is already invited." in answer.content.decode()
    assert (len(mail.outbox), Invitation.objects.get().role) == (1, "marketer")
    Invitation.objects.update(expires_at=timezone.now())
    second = invite(admin, game, role="viewer")
    assert (Invitation.objects.get().role, Invitation.objects.get().is_open) == ("viewer", True)
    assert (Client().get(first).status_code, Client().get(second).status_code) == (404, 200)


def test_sending_an_invitation_again_replaces_its_link(game: Game, admin: Client) -> None:
    first = invite(admin, game)
    Invitation.objects.update(expires_at=timezone.now())
    assert admin.post(path(game, f"invitations/{Invitation.objects.get().pk}/resend/")).status_code == 302
    assert Client().get(first).status_code == 404
    assert Client().get(mailed_path()).status_code == 200


def test_a_revoked_invitation_no_longer_works_and_is_not_listed(game: Game, admin: Client) -> None:
    link = invite(admin, game)
    page = admin.post(path(game, f"invitations/{Invitation.objects.get().pk}/revoke/"), follow=True).content.decode()
    assert f"The invitation of {NEW} was revoked" in page
    assert "No open invitations." in page
    assert Client().get(link).status_code == 410


def test_a_used_invitation_is_neither_sent_again_nor_revoked(game: Game, admin: Client) -> None:
    joining(invite(admin, game))
    for what in ("resend", "revoke"):
        answer = admin.post(path(game, f"invitations/{Invitation.objects.get().pk}/{what}/"), follow=True)
        assert "This invitation was already used or revoked." in answer.content.decode()
    assert (Invitation.objects.get().revoked_at, len(mail.outbox)) == (None, 1)


def test_a_failed_invitation_mail_is_reported_and_the_invitation_stays_valid(
    game: Game, admin: Client, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # nothing listens there
    page = admin.post(path(game, "invite/"), {"email": NEW, "role": "viewer"}, follow=True).content.decode()
    assert f"The mail server did not accept the email to {NEW}." in page
    assert Invitation.objects.get().is_open


def test_the_member_list_shows_role_last_sign_in_and_second_factor(game: Game, admin: Client) -> None:
    hub.member(game, Role.VIEWER)
    invite(admin, game)
    page = admin.get(path(game)).content.decode()
    for said in ("viewer-of-sky-raiders@studio.example", "Viewer", "Admin", "Off", NEW, "Waiting", "You"):
        assert said in page
    assert hub.inline_code(page) == []


def test_an_admin_changes_a_members_role(game: Game, admin: Client) -> None:
    hub.member(game, Role.VIEWER)
    viewer = member_of(game, "viewer-of-sky-raiders")
    page = admin.post(path(game, f"{viewer.pk}/role/"), {"role": "admin"}, follow=True).content.decode()
    assert "viewer-of-sky-raiders@studio.example is an admin of Sky Raiders now." in page
    viewer.refresh_from_db()
    assert viewer.role == Role.ADMIN


def test_an_unknown_role_is_refused(game: Game, admin: Client) -> None:
    own = member_of(game, "admin-of-sky-raiders")
    assert admin.post(path(game, f"{own.pk}/role/"), {"role": "owner"}).status_code == 200
    own.refresh_from_db()
    assert own.role == Role.ADMIN


def test_the_last_admin_can_neither_be_removed_nor_demoted(game: Game, admin: Client) -> None:
    hub.member(game, Role.MARKETER)
    own = member_of(game, "admin-of-sky-raiders")
    closed = Membership.objects.create(game=game, user=hub.user("closed", is_active=False), role=Role.ADMIN)
    for url, data in ((f"{own.pk}/role/", {"role": "viewer"}), (f"{own.pk}/remove/", {})):
        answer = admin.post(path(game, url), data)
        assert answer.status_code == 200
        assert "Sky Raiders needs an admin: make another member an admin before" in answer.content.decode()
    own.refresh_from_db()
    assert own.role == Role.ADMIN
    members.remove(membership=closed)


def test_an_admin_may_leave_when_there_is_another(game: Game, admin: Client) -> None:
    Membership.objects.create(game=game, user=hub.user("second"), role=Role.ADMIN)
    own = member_of(game, "admin-of-sky-raiders")
    assert admin.post(path(game, f"{own.pk}/remove/"))["Location"] == "/"
    assert admin.get(path(game)).status_code == 404
    assert [row.user.username for row in Membership.objects.select_related("user")] == ["second"]


def test_a_removed_member_loses_access_at_once(game: Game, admin: Client) -> None:
    viewer = hub.member(game, Role.VIEWER)
    assert viewer.get(f"/g/{game.slug}/").status_code == 200
    admin.post(path(game, f"{member_of(game, 'viewer-of-sky-raiders').pk}/remove/"))
    assert viewer.get(f"/g/{game.slug}/").status_code == 404


@pytest.mark.parametrize(("act", "form"), [("remove", {}), ("role", {"role": "viewer"})])
def test_the_service_tokens_that_a_member_created_end_only_if_asked(
    game: Game, other_game: Game, admin: Client, act: str, form: dict[str, str]
) -> None:
    own: Any = member_of(game, "admin-of-sky-raiders").user
    leaving = Membership.objects.create(game=game, user=hub.user("second"), role=Role.ADMIN)

    def made(name: str, creator: Any, of: Game = game) -> ApiToken:
        values: dict[str, Any] = {"name": name, "role": Role.ADMIN, "scopes": [Scope.MEMBERS], "created_by": creator}
        return tokens.create_game_token(game=of, **values).token

    made("Theirs", leaving.user), made("Mine", own), made("Elsewhere", leaving.user, other_game)
    tokens.revoke_token(token=made("Ended", leaving.user))
    page = admin.get(path(game, f"{leaving.pk}/{act}/")).content.decode()
    assert [name for name in ("Theirs", "Mine", "Elsewhere", "Ended") if f"<li>{name} (" in page] == ["Theirs"]
    assert "They created 1 service token of Sky Raiders" in page
    assert 'name="revoke_tokens"' in page
    assert "checked" not in page.split('name="revoke_tokens"')[1].split(">")[0]
    live = ApiToken.objects.live().order_by("name").values_list("name", flat=True)
    admin.post(path(game, f"{leaving.pk}/{act}/"), form)
    assert list(live.all()) == ["Elsewhere", "Mine", "Theirs"]
    again, _ = Membership.objects.update_or_create(game=game, user=leaving.user, defaults={"role": Role.ADMIN})
    admin.post(path(game, f"{again.pk}/{act}/"), {**form, "revoke_tokens": "on"})
    assert list(live.all()) == ["Elsewhere", "Mine"]
    assert not Membership.objects.filter(game=game, user=leaving.user, role=Role.ADMIN).exists()


def test_a_refused_removal_revokes_no_token(game: Game, admin: Client) -> None:
    own = member_of(game, "admin-of-sky-raiders")
    values: dict[str, Any] = {"name": "CI", "role": Role.ADMIN, "scopes": [Scope.READ], "created_by": own.user}
    tokens.create_game_token(game=game, **values)
    for act, form in (("remove", {}), ("role", {"role": "viewer"})):
        page = admin.post(path(game, f"{own.pk}/{act}/"), {**form, "revoke_tokens": "on"}).content.decode()
        assert "You created 1 service token of Sky Raiders" in page
    assert ApiToken.objects.live().count() == 1


def test_a_member_without_service_tokens_has_no_question_about_them(game: Game, admin: Client) -> None:
    own = member_of(game, "admin-of-sky-raiders")
    for act in ("remove", "role"):
        assert "revoke_tokens" not in admin.get(path(game, f"{own.pk}/{act}/")).content.decode()


def test_every_change_of_a_member_leaves_an_audit_entry_with_user_and_ip_address(game: Game, admin: Client) -> None:
    link = invite(admin, game)
    joining(link)
    joined = Membership.objects.get(user__email=NEW)
    admin.post(path(game, f"{joined.pk}/role/"), {"role": "admin"}, headers={"X-Forwarded-For": "198.51.100.9"})
    admin.post(path(game, f"{joined.pk}/remove/"))
    entries = LogEntry.objects.filter(content_type__model__in=("invitation", "membership"), actor__isnull=False)
    assert [
        (entry.content_type.model, entry.get_action_display(), entry.actor.username, entry.remote_addr)
        for entry in entries.order_by("pk")
    ] == [
        ("invitation", "create", "admin-of-sky-raiders", "127.0.0.1"),
        ("invitation", "update", NEW, "127.0.0.1"),
        ("membership", "create", NEW, "127.0.0.1"),
        ("membership", "update", "admin-of-sky-raiders", "127.0.0.1"),
        ("membership", "delete", "admin-of-sky-raiders", "127.0.0.1"),
    ]
    assert LogEntry.objects.get(content_type__model="membership", action=LogEntry.Action.UPDATE).changes == {
        "role": ["marketer", "admin"]
    }
    assert set(
        LogEntry.objects.filter(content_type__model="invitation").values_list("additional_data__game", flat=True)
    ) == {game.pk}


def test_the_member_list_needs_no_more_queries_for_more_members(
    game: Game, admin: Client, django_assert_num_queries: Any
) -> None:
    with CaptureQueriesContext(connection) as few:
        admin.get(path(game))
    for number in range(20):
        Membership.objects.create(game=game, user=hub.user(f"user-{number}"), role=Role.VIEWER)
        members.invite(game=game, email=f"{number}@studio.example", role=Role.VIEWER, invited_by=None)
    with django_assert_num_queries(len(few)):
        assert len(admin.get(path(game)).context["rows"]) == 21


@pytest.mark.django_db(transaction=True)
def test_an_invitation_that_is_accepted_while_it_is_sent_again_deadlocks_nobody() -> None:
    game = factories.game()
    members.invite(game=game, email=NEW, role=Role.VIEWER, invited_by=None)
    user = User.objects.create_user("newcomer", NEW)
    refused: list[str] = []

    def invite_again() -> None:
        with contextlib.suppress(MembersError):
            members.invite(game=game, email=NEW, role=Role.ADMIN, invited_by=None)
            return
        refused.append(NEW)

    with own_connection() as accepting, accepting.cursor() as cursor:
        # As accept() does: the invitation first, then a member of the game.
        cursor.execute("SELECT id FROM audience_invitation FOR UPDATE")
        again = in_thread(invite_again)
        wait_for_a_lock()
        fields = "INSERT INTO audience_membership (game_id, user_id, role, created_at) VALUES (%s, %s, %s, now())"
        cursor.execute(fields, [game.pk, user.pk, Role.VIEWER.value])
        cursor.execute("UPDATE audience_invitation SET accepted_at = now()")
        accepting.commit()
    again.join()
    assert refused == [NEW]
    assert Membership.objects.get().role == Role.VIEWER


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_every_member_sees_the_roles_and_nothing_that_only_admins_need(game: Game, admin: Client, role: Role) -> None:
    invite(admin, game)
    client = hub.member(game, role)
    page = hub.normalized_html(client.get(path(game)).content.decode())
    assert "<strong>admin-of-sky-raiders@studio.example</strong>" in page
    assert '<td data-label="Role">Admin</td>' in page
    assert f'<td data-label="Role">{role.label}</td>' in page
    assert f'href="{path(game)}"' in page
    for hidden in (NEW, "Invitations", "Two-factor</th>", "Last sign-in</th>", "/role/", "/remove/", "/invite/"):
        assert hidden not in page
