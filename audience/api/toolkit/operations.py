"""What an operation of the management API requires: a scope of the token, and a role in the game.

Each view set has `operations`, {action: Operation}. An action without an entry is refused, and a test fails.
"""

from dataclasses import dataclass
from typing import Any, cast

from django.http import Http404
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from audience.accounts import second_factor
from audience.hub.toolkit.access import has_role, membership_of
from audience.models import ApiToken, Game, Membership, Role, Scope
from audience.wording.articles import with_article


@dataclass(frozen=True, slots=True)
class Operation:
    """One of `scopes` is required, and at least `role` in the game; `role` is None for operations without a game."""

    scopes: frozenset[Scope]
    role: Role | None

    @property
    def only_reads(self) -> bool:
        return Scope.READ in self.scopes

    @property
    def scope_text(self) -> str:
        return " or ".join(f"`{scope.value}`" for scope in Scope if scope in self.scopes)


def reads(area: Scope, role: Role | None = Role.VIEWER) -> Operation:
    """An operation that only reads: allowed by the scope `read`, and by that of its area."""
    return Operation(frozenset({Scope.READ, area}), role)


def requires(area: Scope, role: Role | None) -> Operation:
    """An operation that requires the scope of its area."""
    return Operation(frozenset({area}), role)


class OperationPermission(BasePermission):
    """Allows what the view set's `operations` say; sets `view.membership` for the operations of a game."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if view.action in (None, "metadata"):
            return True  # the method does not exist here: 405
        operation: Operation = view.operations[view.action]
        token = cast(ApiToken, request.auth)
        if operation.role is not None:
            view.membership = membership_with(token, view.kwargs["game"])
        if not operation.scopes & set(token.scopes):
            raise PermissionDenied(f"This token needs the scope {operation.scope_text}.", "missing_scope")
        if operation.role is not None:
            _require_role(view.membership, operation.role)
        elif token.user is not None and token.user.is_superuser:
            require_second_factor(token.user)
        return True


def membership_with(token: ApiToken, slug: str) -> Membership:
    """Return what the token may do in a game. Raises Http404 for a game that it may not see."""
    if token.game_id is None:
        return membership_of(token.user, slug)
    game = Game.objects.filter(pk=token.game_id, slug=slug).first()
    if game is None:
        raise Http404
    return Membership(game=game, user=None, role=token.role)


def _require_role(membership: Membership, role: Role) -> None:
    if not has_role(membership, role):
        present = with_article(membership.get_role_display().lower())
        raise PermissionDenied(
            f"This token has the role of {present} of {membership.game}. This requires "
            f"{with_article(role.label.lower())}.",
            "missing_role",
        )
    if membership.role == Role.ADMIN and membership.user_id is not None:
        require_second_factor(membership.user)


def require_second_factor(user: Any) -> None:
    """Raise PermissionDenied for a user without the second factor that the pages require of this user."""
    if second_factor.is_missing(user):
        raise PermissionDenied(second_factor.SETUP_REQUIRED, "missing_second_factor")
