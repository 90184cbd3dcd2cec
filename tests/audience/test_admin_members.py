"""Members and invitations in the Django admin: a game always keeps an admin."""

from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.test import Client

from audience.accounts import members
from audience.accounts.tokens import create_game_token
from audience.models import ApiToken, Game, Invitation, Membership, Role, Scope
from tests import hub

pytestmark = pytest.mark.django_db
MEMBERS, INVITATIONS = "/admin/audience/membership/", "/admin/audience/invitation/"


@pytest.fixture
def root() -> Client:
    return hub.signed_in(hub.user("root", is_staff=True, is_superuser=True))


@pytest.fixture
def ada(game: Game) -> Membership:
    """The only admin of the game."""
    person: Any = hub.user("ada")
    return Membership.objects.create(game=game, user=person, role=Role.ADMIN)


def acted(client: Client, url: str, rows: list[Any], action: str, **fields: str) -> list[str]:
    """Run the action and return the messages of the next page."""
    chosen = {"action": action, "_selected_action": [row.pk for row in rows], "confirmed": "yes", **fields}
    answer = client.post(url, chosen, follow=True)
    return [str(message) for message in answer.context["messages"]]


def roles() -> dict[str, str]:
    return dict(Membership.objects.values_list("user__username", "role"))


def test_the_role_of_a_member_is_changed_after_a_confirmation(game: Game, ada: Membership, root: Client) -> None:
    bob: Any = hub.user("bob")
    member = Membership.objects.create(game=game, user=bob, role=Role.VIEWER)
    question = root.post(MEMBERS, {"action": "change_role", "_selected_action": [member.pk]}).content.decode()
    assert "Each gets the role below in this game, effective at once." in question
    assert "Viewer now" in question
    assert acted(root, MEMBERS, [member], "change_role", role="marketer") == [
        "bob in Sky Raiders: marketer: The member is a marketer now."
    ]
    assert roles() == {"ada": "admin", "bob": "marketer"}
    entry = LogEntry.objects.filter(content_type__model="membership").order_by("-pk")[0]
    assert (entry.changes, entry.actor.username) == ({"role": ["viewer", "marketer"]}, "root")


def test_the_last_admin_of_a_game_stays(game: Game, ada: Membership, root: Client) -> None:
    other: Any = hub.user("bob")
    bob = Membership.objects.create(game=game, user=other, role=Role.VIEWER)
    messages = acted(root, MEMBERS, [ada, bob], "change_role", role="viewer")
    remedy = "make another member an admin before you change the role of ada@studio.example."
    assert [message for message in messages if "needs an admin" in message] == [
        f"{ada}: Sky Raiders needs an admin: {remedy}"
    ]
    messages = acted(root, MEMBERS, [ada, bob], "remove")
    assert len([message for message in messages if "needs an admin" in message]) == 1
    assert roles() == {"ada": "admin"}


@pytest.mark.parametrize("revoked", [False, True])
def test_the_service_tokens_of_a_removed_member_are_revoked_if_chosen(
    game: Game, other_game: Game, ada: Membership, root: Client, revoked: bool
) -> None:
    bob: Any = hub.user("bob")
    member = Membership.objects.create(game=game, user=bob, role=Role.ADMIN)
    made: dict[str, Any] = {"role": Role.VIEWER, "scopes": [Scope.POSTBACKS], "created_by": bob}
    own = create_game_token(game=game, name="deploy", **made).token
    create_game_token(game=other_game, name="elsewhere", **made)
    create_game_token(game=game, name="of ada", **{**made, "created_by": ada.user})
    question = root.post(MEMBERS, {"action": "remove", "_selected_action": [member.pk]}).content.decode()
    assert f"Service tokens: deploy ({own.prefix}…)" in question
    assert "Revoke these service tokens too" in question
    acted(root, MEMBERS, [member], "remove", **({"revoke_tokens": "on"} if revoked else {}))
    assert roles() == {"ada": "admin"}
    live = set(ApiToken.objects.live().values_list("name", flat=True))
    assert live == {"elsewhere", "of ada", *([] if revoked else ["deploy"])}


def test_a_member_is_added_by_the_address_of_an_account(game: Game, ada: Membership, root: Client) -> None:
    hub.user("bob")
    fields = {"game": game.pk, "role": "admin"}
    answer = root.post(f"{MEMBERS}add/", {**fields, "email": "BOB@studio.example"}, follow=True)
    assert roles() == {"ada": "admin", "bob": "admin"}
    assert "was added" in answer.content.decode()
    for email, refusal in (
        ("bob@studio.example", "bob@studio.example is already a member of Sky Raiders."),
        ("nobody@studio.example", "No account signs in with this address."),
    ):
        assert refusal in root.post(f"{MEMBERS}add/", {**fields, "email": email}).content.decode()
    assert Membership.objects.count() == 2


def test_no_page_edits_or_deletes_a_membership_directly(game: Game, ada: Membership, root: Client) -> None:
    assert root.post(f"{MEMBERS}{ada.pk}/change/", {"role": "viewer"}).status_code == 403
    assert root.post(f"{MEMBERS}{ada.pk}/delete/", {"post": "yes"}).status_code == 403
    page = root.get(f"/admin/audience/game/{game.pk}/change/").content.decode()
    assert 'name="memberships-0-role"' not in page
    assert roles() == {"ada": "admin"}


def test_the_only_admin_of_a_game_is_not_deleted(game: Game, ada: Membership, root: Client) -> None:
    url = f"/admin/auth/user/{ada.user_id}/delete/"
    page = root.post(url, {"post": "yes"}).content.decode()
    assert "Sky Raiders needs another admin first." in page
    assert User.objects.filter(pk=ada.user_id).exists()
    members.add(game=game, user=User.objects.get(username="root"), role=Role.ADMIN)
    assert root.post(url, {"post": "yes"}).status_code == 302
    assert roles() == {"root": "admin"}


def test_a_game_made_in_the_admin_has_its_maker_as_admin(root: Client) -> None:
    fields = {"name": "Star Fall", "slug": "star-fall", "attribution_window_days": "28", "network_windows": "{}"}
    answer = root.post("/admin/audience/game/add/", {**fields, "time_zone": "UTC", "reporting_currency": "USD"})
    assert answer.status_code == 302, answer.context["errors"]
    assert list(Membership.objects.values_list("game__slug", "user__username", "role")) == [
        ("star-fall", "root", "admin")
    ]


def test_an_invitation_is_sent_again_and_revoked(game: Game, root: Client, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    row = members.invite(game=game, email="new@studio.example", role=Role.VIEWER, invited_by=None).invitation
    before = Invitation.objects.get().digest
    assert acted(root, INVITATIONS, [row], "send_again") == [f"{row}: The invitation was sent."]
    assert ([message.to for message in mail.outbox], Invitation.objects.get().digest != before) == (
        [["new@studio.example"]],
        True,
    )
    assert acted(root, INVITATIONS, [row], "revoke") == [f"{row}: The invitation was revoked."]
    assert Invitation.objects.get().revoked_at is not None
    for action in ("send_again", "revoke"):
        assert acted(root, INVITATIONS, [row], action) == [f"{row}: This invitation was already used or revoked."]
    assert len(mail.outbox) == 1


def test_the_view_permission_changes_no_member(game: Game, ada: Membership) -> None:
    person: Any = hub.user("operator", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=["view_membership", "view_invitation"]))
    client, row = (
        hub.signed_in(person),
        members.invite(game=game, email="new@studio.example", role=Role.VIEWER, invited_by=None),
    )
    hub.user("bob")
    acted(client, MEMBERS, [ada], "change_role", role="viewer")
    acted(client, MEMBERS, [ada], "remove")
    acted(client, INVITATIONS, [row.invitation], "revoke")
    fields = {"game": game.pk, "role": "admin", "email": "bob@studio.example"}
    assert client.post(f"{MEMBERS}add/", fields).status_code == 403
    assert (roles(), Invitation.objects.get().revoked_at) == ({"ada": "admin"}, None)
