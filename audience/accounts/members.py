"""Members of a game: inviting, joining, changing a role, removing. A game always has at least one admin."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse

from audience.accounts import addresses, tokens
from audience.accounts.audit_log import set_actor
from audience.database import clock
from audience.models import ApiToken, Game, Invitation, Membership, Role
from audience.models.keys import sha256_hex
from audience.models.members import in_seven_days


class MembersError(Exception):
    """The request is refused and nothing was changed. The message is shown on the page."""


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """A stored invitation and the token of its link, which is not stored."""

    invitation: Invitation
    token: str = field(repr=False)

    @property
    def link(self) -> str:
        """The URL where the invitation is accepted."""
        return str(settings.PUBLIC_URL) + reverse("invitation", kwargs={"token": self.token})


@transaction.atomic
def invite(*, game: Game, email: str, role: Role, invited_by: User | None) -> NewInvitation:
    """Invite an address, or renew its expired invitation. Raises MembersError if it is a member or invited already."""
    email = addresses.normalize(email)
    _lock(game)
    pending = Invitation.objects.pending().select_for_update().filter(game=game, email=email).first()
    # After the lock: the invitation may have been accepted meanwhile.
    if Membership.objects.filter(game=game, user__email__iexact=email).exists():
        raise MembersError(f"{email} is already a member of {game}.")
    if pending and pending.is_open:
        raise MembersError(f"{email} is already invited. Send the invitation again from the list below.")
    invitation = pending or Invitation(game=game, email=email)
    invitation.role, invitation.invited_by = role, invited_by
    return _with_new_link(invitation)


@transaction.atomic
def renew(*, invitation: Invitation) -> NewInvitation:
    """Replace the link by a new one, valid for seven days. Raises MembersError if accepted or revoked."""
    return _with_new_link(_lock_pending(invitation))


def renew_for_copying(*, invitation: Invitation, requested_by: User | None) -> NewInvitation:
    """Replace the link by one that is shown. Raises PermissionDenied for all but superusers, since anyone with the link
    can join as the invited address, and MembersError as `renew`."""
    if not (requested_by and requested_by.is_superuser):
        raise PermissionDenied(
            "Only a superuser can copy the link of an invitation, because the link replaces access to the mailbox."
        )
    return renew(invitation=invitation)


@transaction.atomic
def revoke(*, invitation: Invitation) -> None:
    """Revoke the invitation. Raises MembersError if accepted or revoked already."""
    invitation = _lock_pending(invitation)
    invitation.revoked_at = clock.now()
    invitation.save(update_fields=["revoked_at"])


def admins_of(game: Game) -> list[str]:
    """Return the email addresses of the game's admins, or the user names of those without one."""
    rows = Membership.objects.filter(game=game, role=Role.ADMIN, user__is_active=True).select_related("user")
    return [row.user.email or row.user.get_username() for row in rows.order_by("user__email", "pk")]


def find(token: str) -> Invitation | None:
    """Return the invitation of a token, also if it is accepted, expired or revoked; None if there is none."""
    return Invitation.objects.select_related("game", "invited_by").filter(digest=sha256_hex(token)).first()


@transaction.atomic
def accept(*, invitation: Invitation, user: User) -> Membership:
    """Make the invited user a member; a member's role is not changed. Raises MembersError if the invitation is closed,
    expired or for another address."""
    invitation = _lock_pending(invitation)
    if not invitation.is_open:
        raise MembersError("This invitation has expired.")
    if not is_for(invitation, user):
        raise MembersError(f"This invitation is for {invitation.email}.")
    invitation.accepted_at = clock.now()
    invitation.save(update_fields=["accepted_at"])
    defaults = {"role": invitation.role}
    return Membership.objects.get_or_create(game=invitation.game, user=user, defaults=defaults)[0]


@transaction.atomic
def accept_as_new(*, invitation: Invitation, password: str) -> User:
    """Create the account of the invited address and accept. Raises MembersError if the address has an account."""
    email = _lock_pending(invitation).email
    addresses.lock_address(email)
    if addresses.find_account(email):
        raise MembersError(f"An account for {email} already exists. Sign in to join.")
    set_actor(email=email)
    user = User.objects.create_user(free_username(email), email, password)
    set_actor(user)
    accept(invitation=invitation, user=user)
    return user


@transaction.atomic
def add(*, game: Game, user: User, role: Role) -> Membership:
    """Make an account a member without an invitation. Raises MembersError if it is a member already."""
    _lock(game)
    if Membership.objects.filter(game=game, user=user).exists():
        raise MembersError(f"{user.email or user.get_username()} is already a member of {game}.")
    return Membership.objects.create(game=game, user=user, role=role)


@transaction.atomic
def change_role(*, membership: Membership, role: Role, revoke_tokens: bool = False) -> None:
    """Change a member's role, and revoke the service tokens that they created, if asked to.

    Raises MembersError if the game would be left without an admin.
    """
    _lock_member(membership)
    if role != Role.ADMIN:
        _require_other_admin(
            membership, f"make another member an admin before you change the role of {membership.user.email}."
        )
    membership.role = role
    membership.save(update_fields=["role"])
    if revoke_tokens:
        _revoke_tokens(membership)


@transaction.atomic
def remove(*, membership: Membership, revoke_tokens: bool = False) -> None:
    """Remove a member, and revoke the service tokens that they created, if asked to.

    Raises MembersError if the game would be left without an admin.
    """
    _lock_member(membership)
    _require_other_admin(membership, f"make another member an admin before {membership.user.email} leaves.")
    if revoke_tokens:
        _revoke_tokens(membership)
    membership.delete()


def games_left_without_admin(users: Iterable[User]) -> QuerySet[Game]:
    """Return the games that would have no admin any more if these accounts were deleted."""
    admins = Membership.objects.filter(role=Role.ADMIN, user__is_active=True)
    others = admins.filter(game=OuterRef("pk")).exclude(user__in=users)
    return Game.objects.filter(Exists(admins.filter(game=OuterRef("pk"), user__in=users)), ~Exists(others))


def is_for(invitation: Invitation, user: User) -> bool:
    return addresses.normalize(user.email) == invitation.email


def free_username(email: str) -> str:
    """Return an unused user name of at most 150 characters. Users sign in with their address instead."""
    taken = User.objects.filter(username=email[:150]).exists()
    return f"{email[:133]}-{secrets.token_hex(8)}" if taken else email[:150]


def _lock(game: Game) -> None:
    """Serialize changes of a game's members: two admins must not remove each other at the same time.

    Not FOR UPDATE, which blocks new memberships: `accept`, which locks its invitation first, could deadlock.
    """
    Game.objects.select_for_update(no_key=True).get(pk=game.pk)


def _lock_member(membership: Membership) -> None:
    """As `_lock`, and reload the role, which may have changed. Raises MembersError if the member was removed."""
    _lock(membership.game)
    role = Membership.objects.filter(pk=membership.pk).values_list("role", flat=True).first()
    if role is None:
        raise MembersError(f"{membership.user.email} is no longer a member of {membership.game}.")
    membership.role = role


def _require_other_admin(membership: Membership, remedy: str) -> None:
    game = membership.game
    others = Membership.objects.filter(game=game, role=Role.ADMIN, user__is_active=True).exclude(pk=membership.pk)
    if membership.role == Role.ADMIN and not others.exists():
        raise MembersError(f"{game} needs an admin: {remedy}")


def _revoke_tokens(membership: Membership) -> None:
    for token in ApiToken.objects.created_by_member(membership):
        tokens.revoke_token(token=token)


def _lock_pending(invitation: Invitation) -> Invitation:
    pending = Invitation.objects.pending().select_for_update(of=("self",)).select_related("game")
    locked = pending.filter(pk=invitation.pk).first()
    if locked is None:
        raise MembersError("This invitation was already used or revoked.")
    return locked


def _with_new_link(invitation: Invitation) -> NewInvitation:
    token = secrets.token_urlsafe(32)
    invitation.digest, invitation.expires_at = sha256_hex(token), in_seven_days()
    invitation.save()
    return NewInvitation(invitation=invitation, token=token)
